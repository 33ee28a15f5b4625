"""Parts of a pipeline from its folder: safetensors into classes of diffusers and transformers, nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.pretrained.folder import PRECISE, WEIGHTLESS, Found, Part

OF_DIFFUSERS = ("unet", "transformer", "vae", "controlnet", "scheduler", "image_noising_scheduler")


def load_parts(found: Found, dtype: torch.dtype) -> dict[str, Any]:
    """Modules, tokenizers and schedulers by name, on the CPU.

    Raises
    ------
    InputError
        Where a part is damaged, or its weights are not those of its config.
    """
    with quiet():
        if found.single is not None:
            return _from_one_file(found, dtype)
        return {
            name: _loaded(name, part, torch.float32 if name in PRECISE else dtype) for name, part in found.parts.items()
        }


def _loaded(name: str, part: Part, dtype: torch.dtype) -> Any:
    import diffusers
    import transformers
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer

    own = {"StableUnCLIPImageNormalizer": StableUnCLIPImageNormalizer}
    source: Any = diffusers if name in OF_DIFFUSERS else transformers
    kind: Any = own.get(part.kind) or getattr(source, part.kind, None)
    if kind is None:
        raise InputError(
            f"{part.folder} is a {part.kind}, which the installed libraries do not have: upgrade diffusers."
        )
    given: dict[str, Any] = {"local_files_only": True}
    if name not in WEIGHTLESS:
        given |= {"use_safetensors": True, "variant": part.variant, "dtype": dtype}
    try:
        if name.endswith("scheduler"):
            return kind.from_config(read_json(part.folder / "scheduler_config.json", dict[str, Any]))
        if name in WEIGHTLESS:
            return kind.from_pretrained(part.folder, **given)
        made, report = kind.from_pretrained(part.folder, output_loading_info=True, **given)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
        if isinstance(error, InputError):
            raise
        why = " ".join(str(error).split())[:200]
        raise InputError(
            f"{part.folder} cannot be loaded ({why}): it is damaged, or its config is that of other weights."
        ) from error
    lost = [*report.get("missing_keys", ()), *report.get("mismatched_keys", ())]
    if lost:
        raise InputError(f"{part.folder} lacks weights, such as {lost[0]}: copy the whole pipeline.")
    return made.eval().requires_grad_(False) if isinstance(made, torch.nn.Module) else made


def _from_one_file(found: Found, dtype: torch.dtype) -> dict[str, Any]:
    """Parts from one file of weights, in the layout of the first Stable Diffusion, by the configs of a folder."""
    import diffusers
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    library: Any = diffusers
    kind = getattr(library, found.index["_class_name"])
    plain = {} if "text_encoder_2" in found.parts else {"safety_checker": None}
    try:
        made = kind.from_single_file(
            str(found.single), config=str(found.folder), local_files_only=True, torch_dtype=dtype, **plain
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SingleFileComponentError) as error:
        why = " ".join(str(error).split())[:200].rstrip(".")
        raise InputError(f"{found.single} cannot be loaded ({why}): is it of the kind of {found.folder}?") from error
    parts = {name: getattr(made, name) for name in found.parts if name != "controlnet"}
    for name, part in parts.items():
        if isinstance(part, torch.nn.Module):
            part.to(torch.float32 if name in PRECISE else dtype).eval().requires_grad_(False)
    if "controlnet" in found.parts:
        parts["controlnet"] = _loaded("controlnet", found.parts["controlnet"], dtype)
    return parts


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the libraries say of packages that nothing here needs, and without their progress."""
    import diffusers
    import transformers

    said: list[Any] = [transformers.utils.logging, diffusers.utils.logging]
    before = [(each.get_verbosity(), each.is_progress_bar_enabled()) for each in said]
    try:
        for each in said:
            each.set_verbosity_error()
            each.disable_progress_bar()
        yield
    finally:
        for each, (level, shown) in zip(said, before, strict=True):
            each.set_verbosity(level)
            if shown:
                each.enable_progress_bar()
