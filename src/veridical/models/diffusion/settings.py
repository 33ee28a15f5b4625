"""Settings of everything diffusive: the network, the law of training noise, what is embedded, and how it samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from veridical.core.errors import InputError
from veridical.core.settings import check, setting
from veridical.diffusion.formulations import FORMULATIONS, Span
from veridical.diffusion.solvers import SOLVERS
from veridical.nets.dit import CONDITIONING

# Ends of noise levels, for data of standard deviation 0.5: of training in `Law`, of the grid in `Sampling`. One name sets both.
SIGMA_MIN = ("Lowest noise level: of the sampling grid of edm, for ncsn and ve of the training levels, too.", 0.01)
SIGMA_MAX = (
    "Highest noise level, likewise; with skip=wiener and without a label 20 is enough, as sampling begins with the spectrum.",
    80.0,
)


@dataclass(frozen=True)
class Network:
    """What sees noisy images: see `veridical.nets.unet.UNet` and `veridical.nets.dit.DiT`."""

    patch: int = setting(4, "Side of the squares of pixels that the network sees as channels.", low=1)
    widths: tuple[int, ...] = setting((64, 128), "Channels of each resolution; a transformer has one width.", low=1)
    layers: int = setting(1, "Residual blocks at each resolution; the depth of a transformer.", low=1, high=1000)
    attention: tuple[bool, ...] = setting((False, True), "Which resolutions of a U-Net have attention.")
    dropout: float = setting(0.0, "Share of activations that training leaves out.", low=0, below=1)
    network: str = setting("unet", "U-Net or transformer.", choices=("unet", "dit"))
    conditioning: str = setting("adaln_zero", "How time and label get into a transformer.", choices=CONDITIONING)

    def __post_init__(self) -> None:
        check(self)
        if self.network == "dit" and len(self.widths) != 1:
            raise InputError(f"widths={self.widths} cannot be: a transformer has one width, such as 192.")


@dataclass(frozen=True)
class Law:
    """What is learned of which noise."""

    formulation: str = setting("edm", "Scalings, training noise and grid.", choices=FORMULATIONS)
    skip: str = setting(
        "wiener",
        "What the network's output is added to: the Wiener estimate, with the error that it leaves as unit, or what the paper "
        "of the formulation has.",
        choices=("wiener", "paper"),
    )
    noise_mean: float = setting(-0.4, "For edm: mean of the logarithm of training noise levels.")
    noise_std: float = setting(1.5, "For edm: standard deviation of that logarithm.", low=0)
    warp: float = setting(
        0.0,
        "Share of training tiles that are enlarged or shrunk, stretched, shifted, each by itself; the network is told. Not for "
        "labels that change with it, such as a grain size.",
        low=0,
        high=1,
    )
    min_snr: float = setting(
        0.0, "Weigh the loss by the signal-to-noise ratio, at most this; 0: the formulation's own weight.", low=0
    )
    variance: str = setting(
        "small",
        "For ddpm: of a step of the solver ancestral; learning it takes a network of twice the outputs.",
        choices=("small", "large", "learned"),
    )
    standardise: bool = setting(
        True,
        "Bring images to mean 0 and deviation 0.5 by those of the data. false, with skip=paper: they stay in [-1, 1], as in Ho "
        "et al. 2020 and as pipelines of diffusers have them.",
    )
    sigma_min: float = setting(SIGMA_MIN[1], SIGMA_MIN[0], above=0)
    sigma_max: float = setting(SIGMA_MAX[1], SIGMA_MAX[0], above=0)
    early_steps: int = setting(
        0,
        "Training step after which a copy of the averaged weights is kept, for autoguidance; 0: none. In a shorter training it "
        "is the average of about its last tenth, and the guidance does next to nothing.",
        low=0,
    )
    crop: int = setting(
        0,
        "Side in pixels of the part of each training image that the network sees, anywhere in it; 0: all of it. For a local task "
        "such as enlarging: a step costs as much as on an image of that size.",
        low=0,
    )

    def __post_init__(self) -> None:
        check(self)
        _rising(self.sigma_min, self.sigma_max)
        if not self.standardise and self.skip != "paper":
            raise InputError(
                f"skip={self.skip} is of standardised images: add skip=paper, or leave out standardise=false."
            )
        if self.variance == "learned" and not self.formulation.startswith(("ddpm", "v_")):
            raise InputError(
                f"formulation={self.formulation} has no variance to learn: use variance=small, or ddpm_cosine."
            )

    @property
    def span(self) -> Span:
        """Noise levels of training."""
        return Span(self.noise_mean, self.noise_std, self.sigma_min, self.sigma_max)


@dataclass(frozen=True)
class Embed:
    """What the network is told beside the noisy image."""

    classes: int = setting(-1, "Classes of the label; 0: a standardised number; -1: no label.", low=-1)
    label_dropout: float = setting(
        0.1, "Share of training images whose label, level, text and embedding are left out.", low=0, high=1
    )
    given: int = setting(0, "Channels of a map of the same size that the network sees beside the image.", low=0)
    vocabulary: int = setting(0, "Size of the vocabulary of a text; 0: no text.", low=0)
    embedding: int = setting(0, "Length of an embedding of the image, such as CLIP's; 0: none.", low=0)
    level: float = setting(0.0, "Strongest noise on the given map, of which the network is told; 0: none.", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Sampling:
    """What acts on sampling alone: a value that can be another at each draw."""

    sampling_steps: int = setting(18, "Steps of the sampling grid.", low=1, high=100_000)
    solver: str = setting("heun", "How a step is made.", choices=SOLVERS)
    eta: float = setting(0.0, "For ddim: share of the noise that is drawn anew.", low=0, high=1)
    churn: float = setting(0.0, "For euler and heun: noise that is added at each step.", low=0)
    snr: float = setting(0.16, "For predictor_corrector: signal-to-noise ratio of a correction.", low=0)
    langevin_steps: int = setting(
        1, "Corrections at each level: predictor_corrector, annealed_langevin.", low=1, high=10_000
    )
    clamp: bool = setting(False, "Keep expected images in [-1, 1] while sampling.")
    sigma_min: float = setting(SIGMA_MIN[1], SIGMA_MIN[0], above=0)
    sigma_max: float = setting(SIGMA_MAX[1], SIGMA_MAX[0], above=0)
    guidance_scale: float = setting(
        1.0,
        "Guidance by label or text: 1 is the condition alone; of guidance by a classifier the gradient scale.",
        low=0,
    )
    guidance_interval: tuple[float, ...] = setting((0.0, 1e4), "Noise levels between which that guidance acts.", low=0)
    autoguidance: float = setting(
        1.0, "Scale of the guidance away from what the early copy expects; 1: none, half the evaluations.", low=0
    )

    def __post_init__(self) -> None:
        check(self)
        _rising(self.sigma_min, self.sigma_max)
        for name, having in (("eta", ("ddim",)), ("churn", ("euler", "heun"))):
            if getattr(self, name) and self.solver not in having:
                raise InputError(f"solver={self.solver} has no {name}: use solver={' or '.join(having)}, or {name}=0.")
        if len(self.guidance_interval) != 2 or not self.guidance_interval[0] < self.guidance_interval[1]:
            raise InputError(
                f"guidance_interval={self.guidance_interval} needs two rising noise levels, such as 0.2,5."
            )


@dataclass(frozen=True)
class Stable:
    """What is left open of a Stable Diffusion."""

    text_tower: str = setting(
        "frozen",
        "The text tower of clip stays as it is, or a copy of it learns on with the denoiser.",
        choices=("frozen", "joint"),
    )
    prediction: str = setting(
        "noise",
        "What the network predicts: the noise, or the velocity of Salimans and Ho 2022, as later pipelines do.",
        choices=("noise", "velocity"),
    )

    def __post_init__(self) -> None:
        check(self)


def fits(shape: tuple[int, ...], network: Network, law: Law) -> None:
    """Refuse images of a shape (C, S, S), or crops of them, that a network cannot see."""
    size, unit = shape[-1], network.patch * 2 ** (len(network.widths) - 1)
    if size % network.patch:
        raise InputError(f"tiles of {size} pixels do not divide by patch={network.patch}: choose another --size.")
    if law.crop > size or law.crop % unit:
        raise InputError(f"crop={law.crop} cannot be: give a multiple of {unit} up to {size} pixels, or 0.")
    if law.crop and network.network == "dit":
        raise InputError(
            f"crop={law.crop} cannot be: a transformer knows the places of whole images; use network=unet."
        )


def can_draw(law: Law, sampling: Sampling, early: bool) -> None:
    """Refuse ways of sampling that what was learned does not allow; `early`: whether there is an early copy."""
    guided = (sampling.guidance_scale, sampling.autoguidance) != (1, 1)
    if (law.variance, sampling.solver) == ("learned", "ancestral") and guided:
        raise InputError("variance=learned cannot be guided: use another solver, or train with variance=large.")
    if sampling.autoguidance != 1 and not early:
        raise InputError(f"autoguidance={sampling.autoguidance} needs a run trained with early_steps, such as 300.")


def options(law: Law, sampling: Sampling) -> dict[str, Any]:
    """Arguments of the solver that others do not have."""
    of: dict[str, dict[str, Any]] = {
        "euler": {"churn": sampling.churn},
        "heun": {"churn": sampling.churn},
        "ddim": {"eta": sampling.eta},
        "ancestral": {"spread": {"small": 0.0, "large": 1.0, "learned": None}[law.variance]},
        "predictor_corrector": {"snr": sampling.snr, "corrections": sampling.langevin_steps},
        "annealed_langevin": {"corrections": sampling.langevin_steps},
    }
    return of.get(sampling.solver, {})


def _rising(low: float, high: float) -> None:
    if low >= high:
        raise InputError(f"sigma_min={low} and sigma_max={high} cannot be: give two positive, rising numbers.")
