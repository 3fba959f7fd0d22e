"""OpenStack's own object storage (Debian's python3-swift): its four servers as threads of one process, on loopback.

argv: port, port of memcached, folder for everything, and the address of a Keystone, if that is to say who may do what there
(Debian's python3-keystonemiddleware asks it; `keystone_server.py` knows who asks). One device, one copy; rings are made for ports
nobody else has. Without Keystone the user of the first login is `backups:ada` with password `p@ss:w`; `backups:bob` with the same
password may do nothing. Objects are no longer than 8 MiB, a page of a listing has 10 rows, storage policies are `gold` and `silver`. What
the proxy is asked goes to standard error, a line each.
"""
import pathlib
import sys

port, memcached = int(sys.argv[1]), int(sys.argv[2])
folder = pathlib.Path(sys.argv[3])
identity = "".join(sys.argv[4:])
etc = folder / "etc"
etc.mkdir(exist_ok=True)
(folder / "devices/d").mkdir(parents=True, exist_ok=True)
(etc / "swift.conf").write_text("""
[swift-hash]
swift_hash_path_prefix = a
swift_hash_path_suffix = b
[storage-policy:0]
name = gold
default = yes
[storage-policy:1]
name = silver
[swift-constraints]
max_file_size = 8388608
container_listing_limit = 10
""")

import eventlet
import eventlet.wsgi
from swift.common import utils

# What is imported next reads it.
utils.set_swift_dir(str(etc))
from swift.common import wsgi
from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.ring import RingBuilder

utils.eventlet_monkey_patch()
# Its logs go to standard error, and not to the system's.
utils.get_logger.console_handler4logger = {}

COMMON = """
[DEFAULT]
swift_dir = {etc}
devices = {folder}/devices
mount_check = false
log_udp_host = 127.0.0.1
log_udp_port = 9
log_requests = false
"""
STORAGE = COMMON + """
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = COMMON + """
[pipeline:main]
pipeline = catch_errors proxy-logging cache {auth} slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:tempauth]
use = egg:swift#tempauth
user_backups_ada = p@ss:w .admin
user_backups_bob = p@ss:w
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {identity}
auth_url = {identity}
interface = public
auth_type = password
username = swift
password = s
user_domain_id = default
project_domain_id = default
project_name = service
delay_auth_decision = true
cache = swift.cache
service_token_roles_required = true
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = member
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


def serve(kind, text, listener):
    file = etc / (kind + ".conf")
    auth = "authtoken keystoneauth" if identity else "tempauth"
    file.write_text(text.format(kind=kind, etc=etc, folder=folder, memcached=memcached, auth=auth, identity=identity))
    app = wsgi.loadapp(str(file), {"log_name": kind})
    # As `run_server` does it, which cannot be called more than once in a process.
    return eventlet.spawn(eventlet.wsgi.server, listener(), app, utils.NullLogger(), protocol=SwiftHttpProtocol,
                          capitalize_response_headers=False)


def ring(name, at):
    builder = RingBuilder(1, 1, 0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": at, "device": "d", "weight": 1,
                     "replication_ip": "127.0.0.1", "replication_port": at, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(str(etc / (name + ".ring.gz")))


for kind, rings in (("account", ["account"]), ("container", ["container"]), ("object", ["object", "object-1"])):
    listener = eventlet.listen(("127.0.0.1", 0))
    for name in rings:
        ring(name, listener.getsockname()[1])
    serve(kind, STORAGE, lambda: listener)
# Who can connect to it finds everything ready.
serve("proxy", PROXY, lambda: eventlet.listen(("127.0.0.1", port), backlog=128)).wait()
