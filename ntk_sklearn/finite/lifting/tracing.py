"""The graph of a module's forward, and modules whose forward does not tell all."""

from __future__ import annotations

from torch import fx, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from ...architecture import NetworkError
from .rules import known_types

ROOT = "the module"


class _Tracer(fx.Tracer):
    def __init__(self, known: tuple[type, ...]) -> None:
        super().__init__()
        self.known = known

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, self.known) or super().is_leaf_module(m, module_qualified_name)


def trace(module: nn.Module) -> tuple[fx.Graph, dict[str, nn.Module], dict[str, str]]:
    """The graph, and the modules and what users call them, by what the graph calls them.

    Raises
    ------
    NetworkError
        If the forward cannot be followed without inputs.
    """
    whole = nn.Sequential(module)  # so that the module itself may be one that is not looked into
    tracer = _Tracer(known_types())
    try:
        graph = tracer.trace(whole)
    except Exception as error:
        where = list(getattr(tracer, "module_stack", ()))[-1:] or [""]  # where it stopped
        raise NetworkError(
            f"{_called(where[0].partition('@')[0])}: its forward cannot be followed without inputs "
            f"({type(error).__name__}: {error}). It must take one tensor and neither branch on its "
            "values nor loop over its sizes; take what does out of the module"
        ) from error
    modules = dict(whole.named_modules(remove_duplicate=False))
    return graph, modules, {name: _called(name) for name in modules}


def _called(name: str) -> str:
    """What users call what the graph calls so."""
    return name.partition(".")[2] or ROOT


def check_plain(module: nn.Module) -> None:
    """Raise if parameters are shared, made by something else, or not there yet.

    Raises
    ------
    NetworkError
        Naming the module within the whole, and the remedy.
    """
    owners: dict[int, str] = {}
    for path, part in module.named_modules():
        where = path or ROOT
        if any(is_lazy(p) for p in part.parameters(recurse=False)):
            raise NetworkError(
                f"{where}: its sizes are not known yet; call the module on some inputs once"
            )
        if isinstance(getattr(part, "_orig_mod", None), nn.Module):
            raise NetworkError(f"{where}: it is compiled; pass the original, module._orig_mod")
        if parametrize.is_parametrized(part):
            raise NetworkError(
                f"{where}: its weights are parametrized (spectral_norm, weight_norm, ...), which "
                "no layer is; remove it with torch.nn.utils.parametrize.remove_parametrizations"
            )
        if part._forward_hooks or part._forward_pre_hooks:
            raise NetworkError(
                f"{where}: it has hooks (as of weight_norm, spectral_norm), whose effect is not "
                "seen; remove them"
            )
        for name, parameter in part.named_parameters(recurse=False):
            before = owners.setdefault(id(parameter), where)
            if before != where:
                raise NetworkError(
                    f"{where}: its {name} is that of {before} (tied): the same weights in two "
                    "places make signals dependent; give each module its own"
                )
