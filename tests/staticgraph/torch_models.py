"""Small modules of every kind, as people write them, with example inputs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 3)
        )

    def forward(self, x):
        return F.log_softmax(self.layers(x), dim=-1)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
            nn.BatchNorm2d(6),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        return self.head(torch.flatten(self.features(x), 1))


class ResidualBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(4)
        self.shortcut = nn.Sequential(nn.Conv2d(3, 4, 1, stride=2, bias=False), nn.BatchNorm2d(4))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)


class SqueezeAndExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.reduce = nn.Conv2d(4, 2, 1)
        self.expand = nn.Conv2d(2, 4, 1)

    def forward(self, x):
        x = F.hardswish(self.depthwise(x))
        scale = F.hardsigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))
        return F.avg_pool2d(x * scale, 2, ceil_mode=True)


class Attention(nn.Module):
    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x, causal=False):
        n, t, width = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out(y.transpose(1, 2).reshape(n, t, width))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 5, 8) * 0.1)
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = Attention()
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(approximate="tanh"), nn.Linear(16, 8))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        x = x + self.attention(self.norm1(x))
        return (x + self.mlp(self.norm2(x)))[:, 0]


class LanguageModel(nn.Module):
    """The weight of the embedding is that of the head."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.attention = Attention()
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("positions", torch.randn(6, 8))

    def forward(self, ids):
        x = self.embedding(ids) + self.positions[: ids.shape[1]]
        return self.head(self.norm(x + self.attention(x, causal=True)))


class RMSAttentionWithRotation(nn.Module):
    """Rotary positions, RMS norms and a gated layer, as in later language models."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))
        self.q, self.k = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.gate, self.up = nn.Linear(8, 16, bias=False), nn.Linear(8, 16, bias=False)
        self.down = nn.Linear(16, 8, bias=False)

    def rotate(self, x):
        angles = torch.outer(torch.arange(x.shape[1]).float(), 0.1 ** torch.arange(4).float())
        half = torch.cat([-x[..., 4:], x[..., :4]], -1)
        return x * angles.cos().repeat(1, 2) + half * angles.sin().repeat(1, 2)

    def forward(self, x):
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight
        q, k = self.rotate(self.q(y)), self.rotate(self.k(y))
        mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
        x = x + torch.softmax(q @ k.transpose(1, 2) / math.sqrt(8) + mask, -1) @ y
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        options = {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True}
        self.encoder = nn.TransformerEncoderLayer(8, 2, **options)
        self.decoder = nn.TransformerDecoderLayer(8, 2, norm_first=True, **options)

    def forward(self, x, y):
        mask = nn.Transformer.generate_square_subsequent_mask(y.shape[1])
        return self.decoder(y, self.encoder(x), tgt_mask=mask)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embedding = nn.Embedding(7, 4, padding_idx=0)
        self.layer = getattr(nn, kind)(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 2)

    def forward(self, ids):
        y, state = self.layer(self.embedding(ids))
        return self.head(y[:, -1]), state


class CellLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 4)
        self.lstm = nn.LSTMCell(4, 4)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 4)
        c = torch.zeros_like(h)
        outputs = []
        for step in x.unbind(1):
            h = self.cell(step, h)
            h, c = self.lstm(h, (h, c))
            outputs.append(h)
        return torch.stack(outputs, 1)


class GraphConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.message = nn.Linear(8, 4)

    def forward(self, x, edges):
        source, target = edges
        messages = F.leaky_relu(self.message(torch.cat([x[source], x[target]], -1)))
        total = torch.zeros_like(x).index_add(0, target, messages)
        degree = torch.zeros(x.shape[0]).scatter_add(0, target, torch.ones_like(target).float())
        weights = torch.zeros_like(x).scatter_add(0, target[:, None].expand(-1, 4), messages.exp())
        return self.linear(total / degree.clamp(min=1)[:, None]) + messages.sum() / weights.sum()


class UNet(nn.Module):
    def __init__(self, mode="bilinear"):
        super().__init__()
        self.mode = mode
        self.down = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.middle = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
        self.up = nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.out = nn.Conv2d(7, 1, 1)

    def forward(self, x):
        y = F.elu(self.norm(self.down(x)))
        y = F.softplus(self.middle(y))
        corners = None if self.mode == "nearest" else False
        resized = F.interpolate(y, scale_factor=2.0, mode=self.mode, align_corners=corners)
        return torch.sigmoid(self.out(torch.cat([resized, self.up(y), x], 1)))


class CouplingFlow(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 4))
        self.matrix = nn.Parameter(torch.eye(4) + 0.1 * torch.randn(4, 4))

    def forward(self, x):
        sign, logdet = torch.linalg.slogdet(self.matrix)
        x = x @ self.matrix.T
        a, b = x.chunk(2, dim=-1)
        shift, scale = self.net(a).chunk(2, dim=-1)
        scale = torch.tanh(scale)
        z = torch.cat([a, b * scale.exp() + shift], -1)
        density = -0.5 * (z**2).sum(-1) - math.log(2 * math.pi) * 2
        return z.flip(-1), density + scale.sum(-1) + logdet * sign


class VariationalAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 6), nn.Linear(3, 4)

    def forward(self, x):
        mean, log_variance = self.encode(x).chunk(2, -1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        divergence = -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum(-1)
        return {"x": torch.sigmoid(self.decode(z)), "divergence": divergence.mean()}


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(3, 6), nn.Linear(6, 4), nn.Linear(6, 1)

    def forward(self, observation, action, advantage):
        hidden = torch.tanh(self.body(observation))
        logits = self.actor(hidden)
        chosen = F.log_softmax(logits, -1).gather(-1, action[:, None]).squeeze(-1)
        ratio = (chosen - chosen.detach()).exp()
        clipped = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        best, where = logits.max(dim=-1)
        return (
            -clipped.mean() + (self.critic(hidden).squeeze(-1) - advantage).square().mean(),
            best,
            where,
        )


class Heun(nn.Module):
    def __init__(self):
        super().__init__()
        self.field = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 2))

    def forward(self, x):
        for _ in range(3):
            slope = self.field(x)
            x = x + 0.05 * (slope + self.field(x + 0.1 * slope))
        return x


class MixtureOfExperts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 3)
        self.experts = nn.Parameter(torch.randn(3, 4, 4) * 0.3)

    def forward(self, x):
        weights, chosen = torch.topk(self.gate(x).softmax(-1), 2)
        outputs = torch.einsum("nd,edf->nef", x, self.experts)
        picked = outputs.gather(1, chosen[..., None].expand(-1, -1, 4))
        return (weights[..., None] * picked).sum(1)


class DeepSets(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 5)
        self.outer = nn.Linear(15, 2)

    def forward(self, x, mask):
        y = torch.relu(self.inner(x)).masked_fill(~mask[..., None], 0.0)
        count = mask.sum(1, keepdim=True)
        spread, middle = torch.std_mean(y, dim=1)
        return self.outer(torch.cat([y.sum(1) / count, y.amax(1), spread + middle], -1))


class TemporalConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 2, 3, dilation=2**i))
            for i in range(2)
        )
        self.slope = nn.PReLU(2)

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = x + self.slope(layer(F.pad(x, (2 * 2**i, 0))))
        return F.max_pool1d(x, 2), F.avg_pool1d(x, 3, stride=1), x.cumsum(-1)


class Recommender(nn.Module):
    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(5, 4), nn.Embedding(6, 4)
        self.bias = nn.Embedding(6, 1)

    def forward(self, users, items, ratings):
        score = (self.users(users) * self.items(items)).sum(-1) + self.bias(items).squeeze(-1)
        return F.binary_cross_entropy_with_logits(score, ratings), F.smooth_l1_loss(score, ratings)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.4)

    def forward(self, x, labels):
        return F.cross_entropy(self.linear(self.drop(x)), labels, label_smoothing=0.1)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x):
        y = x * self.scale
        y[:, 0] = 1.0
        y[1:].mul_(2)
        y[y > 2] = 0.5
        y.clamp_(-1, 1.5)
        return y


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        y = torch.cond(
            x.sum() > 0, lambda x: torch.sin(self.linear(x)), lambda x: torch.cos(x), (x,)
        )
        return y * 2


class Loop(nn.Module):
    def forward(self, x):
        def holds(i, total):
            return i < 3

        def body(i, total):
            return i + 1, total * x + 1

        from torch._higher_order_ops import while_loop

        return while_loop(holds, body, (torch.tensor(0), x * 1))[1]


class Spectrum(nn.Module):
    """Transforms, complex numbers, windows and order statistics."""

    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(4))

    def forward(self, x):
        spectrum = torch.fft.rfft(x) * torch.complex(self.filter, self.filter.tanh())
        y = torch.fft.irfft(spectrum, n=6)
        image = torch.fft.ifft2(torch.fft.fft2(y)).real
        windows = y.unfold(1, 3, 2).amax(-1)
        middle, where = y.kthvalue(2, dim=1)
        near = torch.cdist(y, image + 1)
        sizes = torch.linalg.svdvals(y)
        power = torch.matrix_exp(0.1 * y @ y.T)
        return torch.view_as_real(spectrum), windows, middle, (where << 1) % 3, near, sizes, power


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        y = F.dropout2d(self.linear(x)[:, :, None, None], 0.3)[..., 0, 0]
        return F.gumbel_softmax(y), torch.normal(y, 0.5), y + torch.randint(0, 5, (4,)), None


def numbers(*shape):
    return torch.randn(*shape)


def labels(high, *shape):
    return torch.randint(0, high, shape)


MODELS = {
    "mlp": lambda: (MLP(), (numbers(5, 4),)),
    "cnn": lambda: (CNN(), (numbers(3, 3, 8, 8),)),
    "cnn for inference": lambda: (CNN().eval(), (numbers(2, 3, 8, 8),)),
    "residual block": lambda: (ResidualBlock(), (numbers(2, 3, 8, 8),)),
    "squeeze and excite": lambda: (SqueezeAndExcite(), (numbers(2, 4, 5, 5),)),
    "vision transformer": lambda: (ViT(), (numbers(2, 3, 8, 8),)),
    "language model": lambda: (LanguageModel(), (labels(11, 2, 5),)),
    "rotary": lambda: (RMSAttentionWithRotation(), (numbers(2, 5, 8),)),
    "transformer": lambda: (Transformer(), (numbers(2, 4, 8), numbers(2, 3, 8))),
    "transformer for inference": lambda: (
        Transformer().eval(),
        (numbers(2, 4, 8), numbers(2, 3, 8)),
    ),
    "lstm": lambda: (Recurrent("LSTM"), (labels(7, 3, 4),)),
    "gru": lambda: (Recurrent("GRU"), (labels(7, 3, 4),)),
    "rnn": lambda: (Recurrent("RNN"), (labels(7, 3, 4),)),
    "cells": lambda: (CellLoop(), (numbers(2, 3, 3),)),
    "graph convolution": lambda: (GraphConvolution(), (numbers(5, 4), labels(5, 2, 9))),
    "unet": lambda: (UNet(), (numbers(2, 1, 8, 8),)),
    "unet nearest": lambda: (UNet("nearest"), (numbers(2, 1, 8, 8),)),
    "coupling flow": lambda: (CouplingFlow(), (numbers(3, 4),)),
    "variational autoencoder": lambda: (VariationalAutoencoder(), (numbers(3, 4),)),
    "actor critic": lambda: (ActorCritic(), (numbers(4, 3), labels(4, 4), numbers(4))),
    "heun": lambda: (Heun(), (numbers(3, 2),)),
    "mixture of experts": lambda: (MixtureOfExperts(), (numbers(5, 4),)),
    "deep sets": lambda: (DeepSets(), (numbers(2, 4, 3), torch.ones(2, 4, dtype=torch.bool))),
    "temporal convolution": lambda: (TemporalConvolution(), (numbers(2, 2, 8),)),
    "recommender": lambda: (Recommender(), (labels(5, 6), labels(6, 6), torch.rand(6))),
    "classifier": lambda: (Classifier(), (numbers(4, 4), labels(3, 4))),
    "in place": lambda: (InPlace(), (numbers(3, 3),)),
    "branches": lambda: (Branches(), (numbers(2, 3),)),
    "spectrum": lambda: (Spectrum(), (numbers(3, 6),)),
    "noisy": lambda: (Noisy(), (numbers(3, 4),)),
    "loop": lambda: (Loop(), (numbers(3),)),
}
"""What makes each module and its inputs, by name."""
