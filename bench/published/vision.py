"""Published models of images, from torchvision and timm: made small, with random weights."""

from collections.abc import Callable
from typing import Any

Made = tuple[Any, tuple[Any, ...], dict[str, Any]]
"""A module, its arguments, and those with names."""


def load_torchvision() -> Any:
    """Return torchvision, also where its compiled part does not fit the PyTorch that is installed.

    Classifiers call nothing of that part, but the import describes two of its operators.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        import sys

        import torch

        for name in [each for each in sys.modules if each.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        load_torchvision.kept = library  # type: ignore[attr-defined]  # it ends with its object
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


def _images(side: int, frames: tuple[int, ...] = ()) -> tuple[Any, ...]:
    import torch

    return (torch.randn(2, 3, *frames, side, side),)


def torchvision_model(
    name: str, side: int = 32, training: bool = False, frames: tuple[int, ...] = (), **given: Any
) -> Callable[[], Made]:
    """Return what makes a model of torchvision and images of `side` by `side`."""

    def make() -> Made:
        vision = load_torchvision()
        given.setdefault("num_classes", 10)
        module = vision.models.get_model(name, weights=None, **given)
        return module.train(training), _images(side, frames), {}

    return make


def timm_model(
    name: str, side: int = 32, training: bool = False, **given: Any
) -> Callable[[], Made]:
    """Return what makes a model of timm and images of `side` by `side`."""

    def make() -> Made:
        load_torchvision()
        import timm

        module = timm.create_model(name, pretrained=False, num_classes=10, **given)
        return module.train(training), _images(side), {}

    return make


_NO_WEIGHTS = {"weights_backbone": None}

TORCHVISION: dict[str, Callable[[], Made]] = {
    "alexnet": torchvision_model("alexnet", 64),
    "convnext_tiny": torchvision_model("convnext_tiny"),
    "deeplabv3_mobilenet_v3_large": torchvision_model(
        "deeplabv3_mobilenet_v3_large", **_NO_WEIGHTS
    ),
    "densenet121": torchvision_model("densenet121"),
    "efficientnet_b0": torchvision_model("efficientnet_b0"),
    "googlenet": torchvision_model("googlenet", init_weights=False),
    "inception_v3": torchvision_model("inception_v3", 80, init_weights=False),
    "lraspp_mobilenet_v3_large": torchvision_model("lraspp_mobilenet_v3_large", **_NO_WEIGHTS),
    "mnasnet1_0": torchvision_model("mnasnet1_0"),
    "mobilenet_v2, in training": torchvision_model("mobilenet_v2", 64, training=True, dropout=0.0),
    "mobilenet_v3_small": torchvision_model("mobilenet_v3_small"),
    "r3d_18": torchvision_model("r3d_18", 32, frames=(4,)),
    "regnet_y_400mf": torchvision_model("regnet_y_400mf"),
    "resnet18, in training": torchvision_model("resnet18", 64, training=True),
    "resnet50": torchvision_model("resnet50"),
    "shufflenet_v2_x1_0": torchvision_model("shufflenet_v2_x1_0"),
    "squeezenet1_1": torchvision_model("squeezenet1_1", 64),
    "swin_v2_t": torchvision_model("swin_v2_t", 64),
    "vit_b_16": torchvision_model("vit_b_16", 32, image_size=32),
}

TIMM: dict[str, Callable[[], Made]] = {
    "beit_base_patch16_224": timm_model(
        "beit_base_patch16_224", 32, img_size=32, depth=3, init_values=0.1
    ),
    "coat_tiny": timm_model("coat_tiny", img_size=32),
    "convmixer_768_32": timm_model("convmixer_768_32", 32),
    "convnextv2_atto": timm_model("convnextv2_atto"),
    "edgenext_xx_small": timm_model("edgenext_xx_small"),
    "eva02_tiny_patch14_224": timm_model("eva02_tiny_patch14_224", 28, img_size=28, depth=3),
    "fastvit_t8": timm_model("fastvit_t8"),
    "hiera_tiny_224": timm_model("hiera_tiny_224", 64, img_size=64),
    "levit_128s": timm_model("levit_128s", 64, img_size=64),
    "mobilevit_xxs": timm_model("mobilevit_xxs"),
    "mobilenetv4_conv_small, in training": timm_model("mobilenetv4_conv_small", 64, training=True),
    "nfnet_l0": timm_model("nfnet_l0"),
    "resnest14d": timm_model("resnest14d"),
    "sequencer2d_s": timm_model("sequencer2d_s", layers=(1, 1, 2, 1)),
    "skresnet18": timm_model("skresnet18"),
    "volo_d1_224": timm_model("volo_d1_224", 64, img_size=64),
    "xcit_nano_12_p16_224": timm_model("xcit_nano_12_p16_224", 32, img_size=32, depth=3),
}
