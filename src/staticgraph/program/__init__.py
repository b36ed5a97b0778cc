"""The lowered program: what passes rewrite, the plan measures and backends run."""
