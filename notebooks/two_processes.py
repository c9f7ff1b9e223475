"""Data parallel training by hand: torchrun --nproc_per_node 2 two_processes.py FOLDER mean none sum. See lesson 6."""

import json
import statistics
import sys
import time

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn

dist.init_process_group("gloo")  # torchrun has told each process its number, and where the others are
rank, world_size = dist.get_rank(), dist.get_world_size()
seconds = {}
for exchange in sys.argv[2:]:
    torch.manual_seed(0)  # the same first weights and the same texts in each process
    model = nn.Sequential(nn.Linear(64, 1024), nn.GELU(), nn.Linear(1024, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    inputs = torch.randn(20, 4096, 64)  # 20 steps, an effective batch of 4,096, 64 numbers each
    times = []
    for batch in inputs:
        begin = time.perf_counter()
        mine = batch[rank::world_size]  # dealt out like cards
        loss = nn.functional.cross_entropy(model(mine), mine[:, :4].argmax(dim=1))
        optimizer.zero_grad()
        loss.backward()
        for weight in model.parameters():
            if exchange != "none":
                dist.all_reduce(weight.grad)  # now it is the sum over all processes, in each of them
            if exchange == "mean":
                weight.grad /= world_size
        optimizer.step()
        times.append(time.perf_counter() - begin)
    seconds[exchange] = statistics.median(times)  # of a step
    save_file(model.state_dict(), f"{sys.argv[1]}/{exchange}-{world_size}-{rank}.safetensors")
if rank == 0:
    print(json.dumps(seconds))
dist.destroy_process_group()
