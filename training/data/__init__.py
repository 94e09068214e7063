"""What training learns from: data sets on a disk or houses in memory, and the scenes drawn from them."""
