"""One benchmark a module, each beside the reference that it is compared with."""
