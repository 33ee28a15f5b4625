"""Pipelines of diffusers with tiny random networks, and the members of our models that such a pipeline has."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from veridical.diffusion.formulations import FORMULATIONS, Span, ddpm_time
from veridical.models.diffusion.settings import Sampling
from veridical.nets.attention import controlled
from veridical.nets.text import Read, hear

SIZE, LENGTH, WIDTH = 64, 12, 32  # of images, of texts in tokens, of their vectors
WORDS = "a wave of two three kinds with without cracks in the fibre"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
FORMULATION = FORMULATIONS["ddpm_scaled_linear"]
SPAN = Span(0.0, 1.0, 0.01, 80.0)  # which this formulation has no use for


def components(seed: int = 0) -> dict:
    """What a pipeline of Stable Diffusion is made of: latents of 32 x 32, attention in all four resolutions."""
    torch.manual_seed(seed)
    block = {"layers_per_block": 1, "block_out_channels": (16, 32), "norm_num_groups": 8}
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=SIZE, scaling_factor=0.5,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **block,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=SIZE // 2, layers_per_block=1, block_out_channels=(16, 16, 32, 32), norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D",) * 4, up_block_types=("CrossAttnUpBlock2D",) * 4,
        cross_attention_dim=WIDTH, attention_head_dim=2,
    )  # fmt: skip
    config = CLIPTextConfig(
        vocab_size=32, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=LENGTH, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return {
        "vae": vae.eval(), "unet": unet.eval(), "text_encoder": CLIPTextModel(config).eval(), "tokenizer": _tokenizer(),
        "scheduler": DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True, steps_offset=1),
        "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
    }  # fmt: skip


def _tokenizer() -> PreTrainedTokenizerFast:
    names = ["<pad>", "<begin>", "<end>", "<unknown>", *WORDS.split()]
    words = Tokenizer(models.WordLevel({name: k for k, name in enumerate(names)}, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        "<begin> $A <end>", special_tokens=[("<begin>", 1), ("<end>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<begin>", eos_token="<end>", model_max_length=LENGTH
    )


class Piped(nn.Module):
    """A pipeline as one of our models: in the variance-exploding form, with prompts as conditions ``spelled``.

    A pipeline's own latents are ``x / sqrt(1 + sigma**2)``, of which its U-Net predicts the noise.
    """

    key, width = "spelled", WIDTH

    def __init__(self, vae, unet, text_encoder, tokenizer, **_) -> None:
        super().__init__()
        self.vae, self.unet, self.text_encoder, self.tokenizer = vae, unet, text_encoder, tokenizer
        self.shape = (unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)
        self.sampling = Sampling(solver="ddim", guidance_scale=3.0)
        self.parts: dict = {}

    def encode(self, x):
        return self.vae.encode(x).latent_dist.mean * self.vae.config.scaling_factor

    def decode(self, z):
        return self.vae.decode(z / self.vae.config.scaling_factor).sample

    def denoise(self, x, sigma, cond=None):
        text = (cond or {}).get("spelled")
        text = text.now if text is not None and not torch.is_tensor(text) else self.read(cond or {}, len(x))
        level = sigma.reshape(-1, 1, 1, 1)
        time = ddpm_time(sigma, "scaled_linear")
        return x - level * self.unet(x / (1 + level**2).sqrt(), time, encoder_hidden_states=text.sequence).sample

    def read(self, cond, n, keep=None):
        ids = cond["spelled"] if "spelled" in cond else self.cond([""] * n)["spelled"]
        return Read(self.text_encoder(ids).last_hidden_state, None, None)

    def hear(self, cond, n, noise=None):
        return hear(cond, n, self)

    def attention(self, control):
        return controlled(self.unet, control)

    def ends(self, sampling=None):
        return FORMULATION.ends(SPAN)

    def grid(self, sampling=None):
        return FORMULATION.grid((sampling or self.sampling).sampling_steps, SPAN)

    def start(self, noise, sigma):
        return sigma * noise(self.shape)

    # The model is its own `veridical.editing.words.Words`.

    def cond(self, texts):
        ids = self.tokenizer(list(texts), padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
        return {"spelled": ids}

    def places(self, text):
        return [(word, (k + 1,)) for k, word in enumerate(text.split())]
