"""How much a run depends on its judge: comparison, tables, plots."""
