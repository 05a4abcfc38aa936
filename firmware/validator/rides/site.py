"""Where a terminal stands and how its city codes places: constant from one device file to the next."""

from collections import namedtuple

# role              "bus", "entry", "exit", "both", "desk", "conductor"
# city              2 bytes BCD
# network           acquirer institution, 8 bytes, as it is written on cards
# operator          2 bytes
# plate             8 bytes, of the vehicle
# station_coding    of a station in record 2701, 8 letters: tunion.card.trips
# place_coding      of line and place in the trip history, 4 letters
# kept_in           record of 1Ah with the card's counters (tunion.fare.kept), 1 or 2; 0: none
Site = namedtuple(
    "Site", ("role", "city", "network", "operator", "plate", "station_coding", "place_coding", "kept_in")
)

ROLES = ("bus", "entry", "exit", "both", "desk", "conductor")
