"""A run as a folder that other libraries load."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from veridical.conditions.condition import Request
from veridical.conditions.text import load_vocabulary
from veridical.core.errors import InputError
from veridical.core.files import check_folder, file_hash, new_folder, write_json, write_text
from veridical.core.notes import tell
from veridical.core.version import __version__
from veridical.hub.card import called, card, gathered, manifest
from veridical.hub.pixels import ddpm_pipeline
from veridical.hub.tokens import fast_tokenizer
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.inpainting import Inpainting
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.nets.lora import merge_lora
from veridical.nets.text import Tower
from veridical.runs.run import Run, load

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline, StableDiffusionPipeline

FORMATS = ("diffusers",)
PROVENANCE = "veridical.json"

MANIFEST = "bioimageio.yaml"
HELD = 4  # channels of latents that the pipeline of diffusers for holes takes
NARROW = -30.0  # log-variance, the least that diffusers knows

TEXT_USAGE = """from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("{name}")
image = pipeline("{prompt}", guidance_scale={scale:g}, num_inference_steps={steps}, output_type="np").images[0]
# {kind}, {size} x {size} pixels, in [0, 1]; counts are those of the window in {provenance}. Steps: a number that divides 1000.
"""

HOLE_USAGE = """import torch
from diffusers import StableDiffusionInpaintPipeline

pipeline = StableDiffusionInpaintPipeline.from_pretrained("{name}")
image = torch.rand(1, {channels}, {size}, {size})  # yours: {kind}, in [0, 1]; counts are those of the window in {provenance}
hole = torch.zeros(1, 1, {size}, {size})
hole[..., {quarter}:{half}, {quarter}:{half}] = 1  # 1 is drawn anew
filled = pipeline(
    "{prompt}", image, hole, height={size}, width={size}, guidance_scale={scale:g}, num_inference_steps={steps},
    output_type="np",
).images[0]
# Outside of the hole it is what encoding and decoding make of the image: put your own pixels back.
# Steps: a number that divides 1000.
"""

PIXEL_USAGE = """from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("{name}")
image = pipeline(num_inference_steps={steps}, output_type="np").images[0]
# {kind}, {size} x {size} pixels, in [0, 1]; counts are those of the window in {provenance}.
"""


def export(
    run: str | Path,
    out: str | Path,
    *,
    format: str = "diffusers",
    licence: str = "",
    authors: Sequence[str] = (),
    scores: str | Path | None = None,
    audit: str | Path | None = None,
) -> Path:
    """Write a run as a folder that other libraries load.

    Parameters
    ----------
    run : str or Path
        Run folder of the recipe ``stable_diffusion``, of ``inpainting`` that goes on from one, or of ``ddpm`` with ``patch=1``
        and ``standardise=False``.
    out : str or Path
        A new folder.
    format : {"diffusers"}
        An ordinary `StableDiffusionPipeline`: ``StableDiffusionPipeline.from_pretrained(out)`` loads it, and with the same
        initial latents it draws what the run draws with ``solver=ddim`` (where the number of steps divides 1000). Of
        ``inpainting`` a `StableDiffusionInpaintPipeline`, likewise. Of a run in pixels a `DDPMPipeline`, which with the same
        noise draws what the run draws with ``solver=ancestral``. Beside it a model card, ``README.md``, and a manifest as
        bioimage.io has it, ``bioimageio.yaml``.
    licence : str
        Of the weights, an identifier of SPDX; the card says where nobody has said it.
    authors : sequence of str
        Who made it.
    scores, audit : str or Path, optional
        What `veridical score --json` and `veridical audit --json` wrote, for the card; by default those of the cell of a
        bench that the run is of, or its best preview.

    Returns
    -------
    Path
        The folder `out`.

    Raises
    ------
    InputError
        If `run` cannot be loaded or has no such form, or something is at `out`.
    """
    out = Path(out)
    if format not in FORMATS:
        raise InputError(f"there is no format {format!r} to export to: use {', '.join(FORMATS)}.")
    check_folder(out)
    known = gathered(Path(run), scores, audit, licence, authors)
    loaded = load(run, device="cpu")
    if loaded.info.adapted is not None:
        _whole(loaded)
    pixels, hole = type(loaded.model) is Denoiser, isinstance(loaded.model, Inpainting)
    with _silent():
        pipeline: Any = ddpm_pipeline(loaded) if pixels else stable_diffusion_pipeline(loaded)
    info, how = loaded.info, loaded.model.sampling  # type: ignore[attr-defined]
    if not pixels and how.guidance_scale != 1 and (how.guidance_interval[0] > 0.03 or how.guidance_interval[1] < 14):
        tell(run, f"pipelines guide at all noise levels: guidance_interval={how.guidance_interval} is left out")
    about = {
        "made_by": f"veridical {__version__}",
        "synthetic": "every image that these weights draw",
        "recipe": info.recipe,
        "checkpoint": {"sha256": file_hash(loaded.folder / "model.safetensors"), "steps": info.cost.steps},
        "dataset": {"spec": called(info.dataset.get("spec")), "fingerprint": info.dataset.get("fingerprint")},
        "window": info.window.to_json(),
        "pixel_size": info.dataset.get("pixel_size"),
        **({} if pixels else {"guidance_scale": how.guidance_scale}),
        "num_inference_steps": how.sampling_steps,
    }
    usage = (PIXEL_USAGE if pixels else HOLE_USAGE if hole else TEXT_USAGE).format(
        name=out.name, prompt="WORDS OF YOUR CAPTIONS", scale=how.guidance_scale, steps=how.sampling_steps,
        kind="Grey" if info.channels == 1 else "RGB", size=info.size, provenance=PROVENANCE, channels=info.channels,
        quarter=info.size // 4, half=info.size // 2,
    )  # fmt: skip
    task = "unconditional-image-generation" if pixels else "image-to-image" if hole else "text-to-image"
    with new_folder(out) as folder, _silent():
        pipeline.save_pretrained(folder)
        write_json(folder / PROVENANCE, about)
        write_text(folder / "README.md", card(loaded, known, out.name, usage, task))
        write_text(folder / MANIFEST, manifest(loaded, known, out.name, task))
    return out


def stable_diffusion_pipeline(run: Run) -> StableDiffusionPipeline | StableDiffusionInpaintPipeline:
    """The pipeline of diffusers that a loaded run of texts in latents is: one that sees holes, if the run does.

    Raises
    ------
    InputError
        For a run of another kind.
    """
    import diffusers

    library: Any = diffusers  # whose constructors have no types
    hole = isinstance(run.model, Inpainting)
    model: Any = run.model.base if isinstance(run.model, Inpainting) else run.model
    if not isinstance(model, LatentDiffusion) or not isinstance(model.denoiser.text, Tower):
        if hole:
            raise InputError(
                f"{run.folder} fills holes in pixels, and pipelines of diffusers that do so work in latents of a VAE: export an "
                "inpainting that goes on from stable_diffusion."
            )
        raise InputError(
            f"{run.folder} is a run of {run.info.recipe}, which is no pipeline of diffusers: export one of stable_diffusion, of "
            "inpainting that goes on from it, or of ddpm."
        )
    if hole and model.shape[0] != HELD:
        raise InputError(
            f"{run.folder} has latents of {model.shape[0]} channels, and StableDiffusionInpaintPipeline takes {HELD} alone: "
            f"train the autoencoder with --set latent={HELD}."
        )
    vocabulary = load_vocabulary(Request(run.info.to_json(), run.folder, settings=None, n=1))
    tower = copy.deepcopy(model.denoiser.text.tower)
    tower.config.use_attention_mask = True  # the tower heeds what is padding
    process, _, schedule = model.denoiser.law.formulation.partition("_")
    scheduler = library.DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule=schedule,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # not heeded by "trailing", but asked for
        prediction_type={"ddpm": "epsilon", "v": "v_prediction"}[process],
        timestep_spacing="trailing",
    )
    vae = _normalised(model)
    if hole:
        _without_draws(vae)
    kind = library.StableDiffusionInpaintPipeline if hole else library.StableDiffusionPipeline
    pipeline = kind(
        vae=vae, text_encoder=tower, tokenizer=fast_tokenizer(vocabulary), unet=model.denoiser.net.net,
        scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    # The name that earlier versions of transformers know, too.
    pipeline.register_to_config(tokenizer=("transformers", "PreTrainedTokenizerFast"))
    made: StableDiffusionPipeline | StableDiffusionInpaintPipeline = pipeline
    return made


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without what transformers says of packages that nothing here needs, and of files of no size."""
    import transformers

    logging: Any = transformers.utils.logging
    before, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if shown:
            logging.enable_progress_bar()


def _whole(run: Run) -> None:
    """Make of a run with low-rank changes one with those added to its weights, in place."""
    model: Any = run.model
    if run.pipeline is not None or run.info.adapted is None or run.info.adapted.how == "textual_inversion":
        raise InputError(
            f"{run.folder} is no pipeline of its own: load its base in diffusers, and beside it the file of what was learned "
            "(load_lora_weights, load_textual_inversion)."
        )
    merge_lora(model.denoiser.net if isinstance(model, LatentDiffusion) else model)


@torch.no_grad()
def _normalised(model: LatentDiffusion) -> AutoencoderKL:
    """The autoencoder with latents of mean 0, and the factor that makes them those of the denoiser."""
    vae = copy.deepcopy(model.first.autoencoder)
    mean, scale = model.denoiser.spectrum.mean.flatten(), model.denoiser.spectrum.scale.item()
    vae.quant_conv.bias[: len(mean)] -= mean
    vae.post_quant_conv.bias += vae.post_quant_conv.weight[:, :, 0, 0] @ mean
    vae.register_to_config(scaling_factor=scale)
    return vae


@torch.no_grad()
def _without_draws(vae: Any) -> None:
    """Make draws of latents their means, in place: the network has learned with those of what stands around a hole."""
    quant = vae.quant_conv
    held = len(quant.bias) // 2
    quant.weight[held:] = 0
    quant.bias[held:] = NARROW
