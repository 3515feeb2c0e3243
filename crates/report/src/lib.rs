//! What a simulated run has to say: pages, plots, maps and tables.
