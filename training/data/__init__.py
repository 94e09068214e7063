"""What training learns from: trajectories held in memory, and the scenes that are drawn from them."""
