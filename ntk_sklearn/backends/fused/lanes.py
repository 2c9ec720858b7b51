"""Vectors of `LANES` numbers as a type of numba: one entry of the kernel for each of many pairs.

LLVM turns the operations on a vector into packed instructions of whatever width the processor has,
without having to prove that arrays do not overlap, as it must before it vectorizes a loop. Every
lane goes through the same instructions wherever it stands, so that an entry of a kernel does not
depend on the size of the tile that it is computed in.

The functions below exist inside functions compiled by numba only. Scalars are spread over all
lanes, in the precision of the vector.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16


class LanesType(types.Type):
    """The type of a vector of `LANES` numbers of a floating-point `dtype`."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype} x {LANES})")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: LanesType) -> None:
        scalar = dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(scalar, LANES))


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """The address of a contiguous array, which is read without counting references to it.

    Counting costs an atomic operation each time that an array is passed on. The caller keeps the
    array alive.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """The vector at `index`, in numbers, of a contiguous flat array or behind a pointer."""
    return LanesType(array.dtype)(array, types.intp), _load


def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(_address(context, builder, sig, args), align=_alignment(sig.args[0]))


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector at `index`, in numbers, of a contiguous flat array or behind a pointer."""
    return types.void(array, types.intp, value), _store


def _store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    builder.store(args[2], _address(context, builder, sig, args), align=_alignment(sig.args[0]))
    return context.get_dummy_value()


def _address(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, first = sig.args[0], args[0]
    if isinstance(kind, types.Array):
        first = context.make_array(kind)(context, builder, first).data
    vector = context.get_value_type(LanesType(kind.dtype))
    return builder.bitcast(builder.gep(first, [args[1]]), ir.PointerType(vector))


def _alignment(array: Any) -> int:
    """Bytes by which a vector is aligned for certain: no more than one number."""
    return int(array.dtype.bitwidth // 8)


@intrinsic
def spread(typingctx: Any, scalar: Any) -> Any:
    """A vector of equal numbers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _vector(context, builder, args[0], sig.args[0], sig.return_type)

    return LanesType(scalar)(scalar), codegen


def _vector(context: Any, builder: Any, value: Any, kind: Any, lanes: LanesType) -> Any:
    """The vector itself, or a scalar of any type spread over the lanes."""
    if isinstance(kind, LanesType):
        return value
    scalar = context.cast(builder, value, kind, lanes.dtype)
    undefined = ir.Constant(context.get_value_type(lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, everywhere)


def _lanes(kinds: Sequence[Any]) -> LanesType | None:
    return next((kind for kind in kinds if isinstance(kind, LanesType)), None)


def elementwise(emit: Callable[..., Any]) -> Callable[[Any, tuple[Any, ...]], Any]:
    """Typing and code of an operation on vectors and scalars, of which one at least is a vector.

    ``emit(builder, lanes_type, *values)`` emits the code for vectors.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.return_type
        pairs = zip(args, sig.args, strict=True)
        values = [_vector(context, builder, value, given, kind) for value, given in pairs]
        return emit(builder, kind, *values)

    def typed(_: Any, kinds: tuple[Any, ...]) -> Any:
        kind = _lanes(kinds)
        return None if kind is None else (kind(*kinds), codegen)

    return typed


def _unary(emit: Callable[..., Any]) -> Any:
    typed = elementwise(emit)

    @intrinsic
    def operation(typingctx: Any, a: Any) -> Any:
        return typed(typingctx, (a,))

    return operation


def _binary(emit: Callable[..., Any]) -> Any:
    typed = elementwise(emit)

    @intrinsic
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        return typed(typingctx, (a, b))

    return operation


def _called(name: str) -> Callable[..., Any]:
    """Emit a call of an intrinsic of LLVM."""

    def emit(builder: Any, kind: LanesType, *values: Any) -> Any:
        vector = values[0].type
        signature = ir.FunctionType(vector, [vector] * len(values))
        full = f"llvm.{name}.v{LANES}f{kind.dtype.bitwidth}"
        return builder.call(get_or_insert_function(builder.module, signature, full), values)

    return emit


def _operator(name: str) -> Callable[..., Any]:
    return lambda builder, kind, *values: getattr(builder, name)(*values)


sqrt = _unary(_called("sqrt"))
absolute = _unary(_called("fabs"))
nearest = _unary(_called("rint"))
zero = _unary(lambda builder, kind, x: ir.Constant(x.type, [0.0] * LANES))  # whatever x is
copysign = _binary(_called("copysign"))


def _overload(symbol: Any, name: str) -> None:
    """Let an operator of Python act on vectors.

    By a rule of typing and one of lowering: numba's `overload` would compile a function for every
    pair of types.
    """

    class Rule(AbstractTemplate):
        """Types of the operator's result: lanes, for lanes with lanes or with a number."""

        def generic(self, args: Any, kws: Any) -> Any:
            kind = _lanes(args)
            return None if kind is None else signature(kind, *args)

    infer_global(symbol)(Rule)
    _, codegen = elementwise(_operator(name))(None, (LanesType(types.float64),) * 2)
    for kinds in ((LanesType, LanesType), (LanesType, types.Number), (types.Number, LanesType)):
        lower_builtin(symbol, *kinds)(codegen)


_overload(operator.add, "fadd")
_overload(operator.sub, "fsub")
_overload(operator.mul, "fmul")
_overload(operator.truediv, "fdiv")


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once where the processor can."""
    return _fused(typingctx, (a, b, c))


_fused = elementwise(_called("fmuladd"))


@intrinsic
def where_less(typingctx: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """x where a < b, else y; y where a or b is not a number."""
    return _selected(typingctx, (a, b, x, y))


def _select(builder: Any, kind: LanesType, a: Any, b: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), x, y)


_selected = elementwise(_select)


def polynomial(single: Sequence[float], double: Sequence[float]) -> Any:
    """A polynomial with one set of coefficients, constant term first, for each precision."""

    def emit(builder: Any, kind: LanesType, x: Any) -> Any:
        coefficients = single if kind.dtype.bitwidth == 32 else double
        constants = [ir.Constant(x.type, [c] * LANES) for c in coefficients]
        value, multiply_add = constants[-1], _called("fmuladd")
        for constant in reversed(constants[:-1]):
            value = multiply_add(builder, kind, value, x, constant)
        return value

    return _unary(emit)


@intrinsic
def power_of_two(typingctx: Any, n: Any) -> Any:
    """2^n for integers n within the range of exponents of normal numbers."""
    return _scaled(typingctx, (n,))


def _power_of_two(builder: Any, kind: LanesType, n: Any) -> Any:
    width = kind.dtype.bitwidth
    mantissa, bias = (23, 127) if width == 32 else (52, 1023)
    integers = ir.VectorType(ir.IntType(width), LANES)
    exponent = builder.add(builder.fptosi(n, integers), ir.Constant(integers, [bias] * LANES))
    shift = ir.Constant(integers, [mantissa] * LANES)
    return builder.bitcast(builder.shl(exponent, shift), n.type)


_scaled = elementwise(_power_of_two)


@intrinsic
def widened(typingctx: Any, value: Any) -> Any:
    """The vector in float64."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if sig.args[0] == sig.return_type:
            return args[0]
        return builder.fpext(args[0], context.get_value_type(sig.return_type))

    return LanesType(types.float64)(value), codegen


@intrinsic
def kept_apart(typingctx: Any) -> Any:
    """Keep the function that calls this a function, instead of copying it to where it is called.

    What is large and called from many places would take long to compile.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen
