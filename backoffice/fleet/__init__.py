"""What devices are told: parameter sets from a clerk's file to every bus. backoffice/docs/fleet.md."""
