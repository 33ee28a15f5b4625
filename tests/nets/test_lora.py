"""Low-rank changes: nothing at first, the same when they are added to the weights."""

import pytest
import torch

from veridical.core.errors import InputError
from veridical.nets.dit import DiT
from veridical.nets.lora import add_lora, merge_lora, without_lora
from veridical.nets.unet import UNet
from veridical.nets.word import WithNewWord


def networks():
    torch.manual_seed(0)
    unet = UNet(1, 1, 16, (32, 32), 1, (False, True), 0.0)
    dit = DiT(1, 1, 8, 32, 1, "adaln_zero", 0.0)
    for net in (unet, dit):
        for parameter in net.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return {"unet": (unet, torch.randn(2, 1, 16, 16)), "dit": (dit, torch.randn(2, 1, 8, 8))}


@pytest.mark.parametrize(("name", "targets"), [("unet", ("attention", "convolutions")), ("dit", ("attention",))])
def test_it_adds_nothing_at_first_and_merges_to_the_same(name, targets):
    net, x = networks()[name]
    time, before = torch.tensor([3.0, 7.0]), list(net.state_dict())
    with torch.no_grad():
        plain = net(x, time)
        parts = add_lora(net, targets, 2, 0)
        assert torch.equal(net(x, time), plain)
        for parameter in parts.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        changed = net(x, time)
        with without_lora(net):
            assert torch.equal(net(x, time), plain)
        assert torch.equal(net(x, time), changed) and (changed - plain).abs().max() > 1e-3
        merge_lora(net)
        assert (net(x, time) - changed).abs().max() < 1e-5
    assert list(net.state_dict()) == before


def test_only_what_is_added_is_trained():
    net, _ = networks()["unet"]
    parts = add_lora(net, ("to_q",), 3, 0)
    trained = [p for p in net.parameters() if p.requires_grad]
    assert {id(p) for p in trained} == {id(p) for p in parts.parameters()}
    assert all(3 in p.shape for p in trained)


def test_what_is_not_there_cannot_be_changed():
    net, _ = networks()["dit"]
    with pytest.raises(InputError, match="targets=to_q"):
        add_lora(net, ("to_q",), 2, 0)
    with pytest.raises(InputError, match="none of the layers"):
        add_lora(net, ("convolutions",), 2, 0)


def test_a_new_word_has_a_vector_of_its_own():
    table = torch.nn.Embedding(5, 3)
    words = WithNewWord(table, 7, (1, 2))
    found = words(torch.tensor([[0, 7, 4]]))
    assert torch.equal(found[0, [0, 2]], table.weight[[0, 4]])
    assert torch.allclose(found[0, 1], table.weight[[1, 2]].mean(0))
    found.sum().backward()
    assert words.learned.grad is not None and table.weight.grad is None


def test_a_new_word_is_learned_in_units_of_its_table():
    """A step of Adam moves it by as much of its table's size, whatever that is."""
    moved = []
    for size in (1.0, 0.02):
        torch.manual_seed(0)
        table = torch.nn.Embedding(50, 8)
        table.weight.data.mul_(size)
        words = WithNewWord(table, 50, (3,))
        assert torch.equal(words.row, table.weight[3])  # to the bit
        optimiser = torch.optim.Adam(words.parameters(), 0.1)
        words(torch.tensor([50])).sum().backward()
        optimiser.step()
        moved.append(((words.row - table.weight[3]).norm() / table.weight[3].norm()).item())
    assert 0.5 < moved[1] / moved[0] < 2 and moved[0] < 0.3
