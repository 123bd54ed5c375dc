"""Layer-wise relevance propagation: canonical form, rules, composites, engine, zennit backend."""
