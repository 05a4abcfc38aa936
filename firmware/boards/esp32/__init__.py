"""ESP32-S3: reader, a SAM slot and a modem, each on a UART of its own."""
