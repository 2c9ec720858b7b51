"""What has no limit, or no layer: the reason, and the nearest alternative."""

from __future__ import annotations

from typing import Any

from torch import nn

from .rules import Read, Site, read

MAXIMUM = (
    "the maximum of correlated Gaussians has no covariance in closed form; use average pooling "
    "(nn.AvgPool2d), or strides in the convolution before it"
)
BATCH = (
    "batch normalization couples the rows of a batch, while a kernel knows two inputs at a time; "
    "use nn.GroupNorm(1, channels), or nn.LayerNorm on flat features, or none and smaller weights"
)
RECURRENT = (
    "a recurrent network uses the same weights at every step, which layers of a tree cannot; use "
    "convolutions over time (nn.Conv1d)"
)
EMBEDDING = (
    "an embedding reads indices, and kernels read numbers; encode the inputs as numbers (one-hot) "
    "and use nn.Linear"
)
ATTENTION = (
    "attention is not read from modules; write the network as a tree, where SelfAttention is a "
    "layer of its own"
)
SOFTMAX = (
    "a softmax over finitely many units has no Gaussian limit; where it ends the network, leave it "
    "out: the kernels and estimators are those of the outputs in front of it"
)
INSTANCE = (
    "it normalizes every channel over finitely many positions, which has no Gaussian limit; use "
    "nn.GroupNorm(1, channels)"
)
SHUFFLE = "it moves channels to positions or among themselves, which has no layer; leave it out"
RESIZE = "resampling is not read from modules; use strides or average pooling"
TRANSPOSED = "transposed convolutions are not read from modules; write the network as a tree"
LEARNED_SLOPE = (
    "a learned slope has a tangent kernel of its own that no layer has; use nn.LeakyReLU(0.25)"
)
RANDOM_SLOPE = "random slopes have no layer; use nn.LeakyReLU at their mean"
MASKS = (
    "its masks are shared by positions or are not those of dropout, which no layer has; use "
    "nn.Dropout"
)
GATE = (
    "halves of the channels are not layers of a tree; write both as modules of their own, "
    "self.a(x) * torch.sigmoid(self.b(x))"
)
BILINEAR = (
    "a bilinear form of two inputs has no layer; multiply two nn.Linear, self.a(x) * self.b(x)"
)
NEIGHBOURS = "it divides by a norm over few channels, which has no Gaussian limit; use nn.GroupNorm"
PADDING = (
    "padding is part of a convolution or pooling here; pass padding=... to the module behind it"
)
WINDOW_NORM = "norms over windows have no covariance in closed form; use average pooling"
UNFLATTEN = (
    "layers do not make positions out of features; pass images, or rows of X together with "
    "image_shape=(channels, *spatial)"
)
WRAPPER = "it only wraps another module; pass that one, module.module"

# By name of the type, since the oldest torch that is allowed lacks some of them.
_TYPES = {
    MAXIMUM: "MaxPool1d MaxPool2d MaxPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d "
    "FractionalMaxPool2d FractionalMaxPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    BATCH: "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm",
    RECURRENT: "RNN LSTM GRU RNNCell LSTMCell GRUCell",
    EMBEDDING: "Embedding EmbeddingBag",
    ATTENTION: "MultiheadAttention Transformer TransformerEncoder TransformerDecoder "
    "TransformerEncoderLayer TransformerDecoderLayer",
    SOFTMAX: "Softmax Softmax2d LogSoftmax Softmin AdaptiveLogSoftmaxWithLoss",
    INSTANCE: "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    SHUFFLE: "PixelShuffle PixelUnshuffle ChannelShuffle Fold Unfold",
    RESIZE: "Upsample UpsamplingNearest2d UpsamplingBilinear2d",
    TRANSPOSED: "ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    LEARNED_SLOPE: "PReLU",
    RANDOM_SLOPE: "RReLU",
    MASKS: "Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout",
    GATE: "GLU",
    BILINEAR: "Bilinear",
    NEIGHBOURS: "LocalResponseNorm CrossMapLRN2d",
    PADDING: "ZeroPad1d ZeroPad2d ZeroPad3d ConstantPad1d ConstantPad2d ConstantPad3d "
    "CircularPad1d CircularPad2d CircularPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d "
    "ReplicationPad1d ReplicationPad2d ReplicationPad3d",
    WINDOW_NORM: "LPPool1d LPPool2d LPPool3d",
    UNFLATTEN: "Unflatten",
    WRAPPER: "DataParallel",
}

# By name of the function or method, as it is called in a forward.
CALLS = {
    name: why
    for why, names in {
        MAXIMUM: "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d "
        "adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d max amax min amin maximum "
        "minimum fmax fmin",
        BATCH: "batch_norm",
        EMBEDDING: "embedding embedding_bag one_hot",
        ATTENTION: "scaled_dot_product_attention multi_head_attention_forward bmm baddbmm einsum",
        SOFTMAX: "softmax log_softmax softmin gumbel_softmax",
        INSTANCE: "instance_norm",
        SHUFFLE: "pixel_shuffle pixel_unshuffle channel_shuffle permute transpose movedim unfold "
        "fold",
        RESIZE: "interpolate upsample grid_sample",
        TRANSPOSED: "conv_transpose1d conv_transpose2d conv_transpose3d",
        LEARNED_SLOPE: "prelu",
        RANDOM_SLOPE: "rrelu",
        MASKS: "dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout",
        GATE: "glu chunk split tensor_split unbind",
        BILINEAR: "bilinear",
        NEIGHBOURS: "local_response_norm normalize",
        PADDING: "pad",
        WINDOW_NORM: "lp_pool1d lp_pool2d lp_pool3d",
        UNFLATTEN: "unflatten",
    }.items()
    for name in names.split()
}


def _refused(why: str) -> Any:
    def refuse(module: nn.Module, site: Site) -> Read:
        raise site.refuse(f"{type(module).__name__}: {why}")

    return refuse


for _why, _names in _TYPES.items():
    for _name in _names.split():
        if hasattr(nn, _name):
            read.register(getattr(nn, _name), _refused(_why))
