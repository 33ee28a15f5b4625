"""The hook on attention: it sees what a network attends to, changes nothing by looking, and leaves nothing behind."""

import pytest
import torch

from veridical.nets.attention import Place, controlled
from veridical.nets.dit import CONDITIONING, DiT
from veridical.nets.unet import UNet

WIDTHS, LAYERS, ATTENTION = (16, 32), 1, (False, True)


def unet():
    return UNet(1, 1, 8, WIDTHS, LAYERS, ATTENTION, 0.0, conditional=True)


def conditional_unet():
    return UNet(1, 1, 8, WIDTHS, LAYERS, ATTENTION, 0.0, conditional=True, text=True)


def dit(conditioning):
    return DiT(1, 1, 8, 32, 2, conditioning, 0.0, text=True)


NETWORKS = {
    "UNet2DModel": unet,
    "UNet2DConditionModel": conditional_unet,
    **{f"DiT, {how}": lambda how=how: dit(how) for how in CONDITIONING},
}


@pytest.fixture(params=NETWORKS)
def network(request):
    """A network with weights that are nowhere 0, and its arguments: two images, of the second of which three tokens count."""
    net = NETWORKS[request.param]().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    arguments = [torch.randn(2, 1, 8, 8), torch.tensor([100.0, 500.0]), torch.randn(2, net.dim)]
    if request.param != "UNet2DModel":
        arguments += [torch.randn(2, 6, net.dim), torch.arange(6) < torch.tensor([[6], [3]])]
    return net, arguments


def test_looking_changes_nothing(network):
    net, arguments = network
    seen = []

    def look(found, place):
        seen.append((found, place))
        return found

    with torch.no_grad():
        before = net(*arguments)
        with controlled(net, look):
            watched = net(*arguments)
        after = net(*arguments)
    torch.testing.assert_close(watched, before, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(after, before, atol=0, rtol=0)
    assert seen and all(isinstance(place, Place) for _, place in seen)
    for found, _ in seen:
        assert found.ndim == 4 and len(found) == 2
        torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]), atol=1e-5, rtol=0)
    for found, place in seen:
        if place.cross and len(arguments) == 5:
            assert (found[1, ..., -3:] == 0).all() and (found[0] > 0).all()  # what fills up is not attended to
    count = len(seen)
    with torch.no_grad():
        net(*arguments)
    assert len(seen) == count


def test_both_kinds_are_told_apart(network):
    net, arguments = network
    seen = {}
    with torch.no_grad(), controlled(net, lambda found, place: seen.setdefault(place, found)):
        net(*arguments)
    for place, found in seen.items():
        assert place.name in dict(net.named_modules())
        if not place.cross:
            assert found.shape[2] == found.shape[3]
    crosses = {place.cross for place in seen}
    words = len(arguments) == 5 and not (isinstance(net, DiT) and net.conditioning == "in_context")
    assert crosses == ({True, False} if words else {False})


def test_what_replaces_attention_changes_the_image(network):
    net, arguments = network
    with torch.no_grad():
        before = net(*arguments)
        with controlled(net, lambda found, _: torch.full_like(found, 1 / found.shape[-1])):
            even = net(*arguments)
        with controlled(net, lambda found, _: found[:1].expand_as(found)):
            swapped = net(*arguments)
    assert (even - before).abs().max() > 1e-3
    # rows of images take over from another: that one stays as it is
    torch.testing.assert_close(swapped[0], before[0], atol=2e-5, rtol=1e-4)
    assert (swapped[1] - before[1]).abs().max() > 1e-4


def test_an_exception_leaves_the_network_as_it_was(network):
    net, arguments = network

    def broken(found, place):
        raise ValueError("no")

    processors = getattr(getattr(net, "net", None), "attn_processors", {})
    with torch.no_grad():
        before = net(*arguments)
        with pytest.raises(ValueError, match="no"), controlled(net, broken):
            net(*arguments)
        torch.testing.assert_close(net(*arguments), before, atol=0, rtol=0)
    assert getattr(getattr(net, "net", None), "attn_processors", {}) == processors
    assert all(getattr(module, "control", None) is None for module in net.modules())
