"""How measurements are made: clocks, processes, statistics, memory, agreement."""
