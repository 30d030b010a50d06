"""Import torch's compiler only when something is compiled. Must be imported before torchvision and timm.

torchvision, timm and `Optimizer.step` import `torch._dynamo` only to mark functions as not compilable; with torch 2.15
this costs 1.6 of the 4.5 CPU seconds of `import torchvision, timm`. A stub during these imports alone would be simpler,
but every optimiser imports the package again at its first step: the placeholders must stay, and make way for the real
modules as soon as anything else is asked of them. See docs/decisions/startup.md.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

PACKAGE = "torch._dynamo"
UTILS = "torch._dynamo.utils"


def defer_compiler() -> None:
    """Install the placeholders unless the compiler is loaded."""
    if PACKAGE in sys.modules:
        return
    package, support = _Placeholder(PACKAGE), _Placeholder(UTILS)
    package.__path__ = []  # a package, so that imports of its modules reach the finder
    vars(package).update(disable=_disable, graph_break=_graph_break, utils=support)
    vars(support).update(is_compile_supported=_is_compile_supported)
    sys.modules.update({PACKAGE: package, UTILS: support})
    sys.meta_path.insert(0, _Finder())
    torch._dynamo = package  # noqa: SLF001 - where `import torch._dynamo` would put it


def load_compiler() -> ModuleType:
    """Replace the placeholders by the real package and return it."""
    if is_deferred():
        del sys.modules[PACKAGE], sys.modules[UTILS]
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    return importlib.import_module(PACKAGE)


def is_deferred() -> bool:
    """Tell whether the placeholders are installed."""
    return isinstance(sys.modules.get(PACKAGE), _Placeholder)


class _Placeholder(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # `inspect` scans every module
            raise AttributeError(name)
        load_compiler()
        return getattr(importlib.import_module(self.__name__), name)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG002
        """Load the real package when one of its modules is imported."""
        if not name.startswith(f"{PACKAGE}."):
            return None
        load_compiler()
        return ModuleSpec(name, _Loaded(importlib.import_module(name)))


class _Loaded(Loader):
    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


def _disable(function: Callable[..., Any] | None = None, *options: Any, **named: Any) -> Callable[..., Any]:
    """Mark a function as not compilable once the compiler is loaded."""
    if function is None:
        return functools.partial(_disable, **named)

    @functools.wraps(function)
    def marked(*arguments: Any, **keywords: Any) -> Any:
        called = function if is_deferred() else _marked_by_compiler(function, options, tuple(named.items()))
        return called(*arguments, **keywords)

    return marked


@functools.cache
def _marked_by_compiler(
    function: Callable[..., Any], options: tuple[Any, ...], named: tuple[tuple[str, Any], ...]
) -> Callable[..., Any]:
    disabled: Callable[..., Any] = load_compiler().disable(function, *options, **dict(named))
    return disabled


def _graph_break(msg: str = "") -> None:
    """Do nothing: without the compiler there is no graph to break."""


def _is_compile_supported(device_type: str) -> Any:
    return load_compiler().utils.is_compile_supported(device_type)
