"""How fast the portal is: each work beside its limit on the same machine in the same minute (`make bench`).

meters.py    CPU seconds and memory of server processes client.py    the load: bare sockets, in a separate process
servers.py   the portal in several configurations, nginx, an S3 server inside.py    jobs inside a portal: filling it,
counting queries works.py     what is measured report.py    the table and the JSON
"""

EMAIL = "bench@example.org"
PASSWORD = "a pass phrase of the benchmark"  # noqa: S105 - for a portal that lives as long as the run
MIB = 1024 * 1024
