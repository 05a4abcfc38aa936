"""Behind the ports: readers, SAMs, flash, network, panels. A driver knows its wire and has never heard of a purse."""
