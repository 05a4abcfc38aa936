"""The whole system on one machine: real programs joined over bytes, a place to break them, and the books after."""
