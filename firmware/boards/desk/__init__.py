"""The board "desk": CPython on a developer's or technician's PC, with PC/SC readers and serial lines."""
