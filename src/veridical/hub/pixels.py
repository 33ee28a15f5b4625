"""A denoiser of pixels as a pipeline of diffusers: DDPM as its paper has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veridical.core.errors import InputError
from veridical.core.notes import tell
from veridical.models.diffusion.denoiser import BESIDE, Denoiser
from veridical.nets.unet import UNet
from veridical.runs.run import Run

if TYPE_CHECKING:
    from diffusers import DDPMPipeline

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
PREDICTIONS = {"ddpm": "epsilon", "v": "v_prediction"}
VARIANCES = {"small": "fixed_small", "large": "fixed_large", "learned": "learned_range"}
INSTEAD = "train ddpm with --set patch=1 --set standardise=false, and export that"


def ddpm_pipeline(run: Run) -> DDPMPipeline:
    """The `DDPMPipeline` that a loaded run is: with the same noise it draws what the run draws with ``solver=ancestral``.

    Raises
    ------
    InputError
        If the network sees, hears or learns what no such pipeline has; it says what.
    """
    import diffusers

    library: Any = diffusers  # whose constructors have no types
    model: Any = run.model
    if why := _beyond(model):
        raise InputError(
            f"{run.folder} is a run of {run.info.recipe} that no pipeline of diffusers holds: {'; '.join(why)}: {INSTEAD}."
        )
    law, how = model.law, model.sampling
    process, _, schedule = law.formulation.partition("_")
    scheduler = library.DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule=SCHEDULES[schedule],
        prediction_type=PREDICTIONS[process],
        variance_type=VARIANCES[law.variance],
        clip_sample=how.clamp,
        timestep_spacing="linspace",
    )
    if how.solver != "ancestral":
        tell(run.folder, f"DDPMPipeline draws by ancestral sampling: solver={how.solver} is left out")
    pipeline: DDPMPipeline = library.DDPMPipeline(unet=model.net.net, scheduler=scheduler)
    return pipeline


def _beyond(model: Denoiser) -> list[str]:
    """What of a denoiser no pipeline has."""
    law, heard = model.law, [name for name in BESIDE if getattr(model, name) is not None]
    schedules = [f"{process}_{schedule}" for process in PREDICTIONS for schedule in SCHEDULES]
    why = []
    if law.formulation not in schedules:
        why.append(f"its noise levels are none of a thousand steps (formulation={law.formulation})")
    if law.skip != "paper":
        why.append(f"its network sees the best linear estimate beside the noisy image (skip={law.skip})")
    if model.patch != 1:
        why.append(
            f"its network sees squares of {model.patch} x {model.patch} pixels as channels (patch={model.patch})"
        )
    if not isinstance(model.net, UNet):
        why.append("its network is another than UNet2DModel")
    if heard or model.embed.given:
        what = {"said": "how tiles were warped"}
        told = [what.get(name, f"a {name}") for name in heard] + ["a map"] * bool(model.embed.given)
        why.append(f"it is told {' and '.join(told)}")
    if law.standardise:
        why.append("it works on images of another mean and contrast (standardise=true)")
    if model.sampling.autoguidance != 1:
        why.append(f"it samples with a copy of early weights (autoguidance={model.sampling.autoguidance:g})")
    return why
