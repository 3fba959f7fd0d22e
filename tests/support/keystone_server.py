"""OpenStack's own Keystone, with sqlite and tokens that are sealed and kept nowhere, behind a server of Python's.

argv: port, folder for everything. It is run by the Python of the virtual environment it is installed in.
User `ada` with password `p@ss:w` has a role in the project `backups`; both are of the domain with the id `default`, whose name is
`Default`. User `bob` with the same password has none. User `swift` with password `s`, of the project `service`, says which tokens hold.
There is a service of the type `object-store` without any address. Once Keystone can be connected to, the file `made` in the folder that is
called as the port holds the ids of ada, of the project and of that service, and a token that may do anything, a line each.
"""
import os
import pathlib
import subprocess
import sys

from cryptography.fernet import Fernet

port = sys.argv[1]
# One of its own for each attempt to get a port.
folder = pathlib.Path(sys.argv[2]) / port
folder.mkdir()
config = folder / "keystone.conf"
config.write_text(f"""
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/tokens
[fernet_receipts]
key_repository = {folder}/tokens
[credential]
key_repository = {folder}/tokens
""")
at = f"http://127.0.0.1:{port}/v3"


def manage(*words):
    program = pathlib.Path(sys.executable).with_name("keystone-manage")
    subprocess.run([program, "--config-file", config, *words], check=True)


# As `fernet_setup` makes them, which would take some seconds more.
(folder / "tokens").mkdir(mode=0o700)
for name in ("0", "1"):
    (folder / "tokens" / name).write_bytes(Fernet.generate_key())
manage("db_sync")
manage("bootstrap", "--bootstrap-password", "of the administrator", "--bootstrap-region-id", "One", "--bootstrap-public-url", at)

os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(config)
# What follows reads the words of its own program.
del sys.argv[1:]
from keystone.server import wsgi
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client

app = wsgi.initialize_public_application()
client = Client(app)


def ask(method, path, token, document=None):
    answer = client.open(path="/v3" + path, method=method, json=document, headers={"X-Auth-Token": token} if token else {})
    assert answer.status_code < 300, (method, path, answer.status_code, answer.get_data())
    return answer


user = {"name": "admin", "domain": {"id": "default"}, "password": "of the administrator"}
scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
login = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
token = ask("POST", "/auth/tokens", None, login).headers["X-Subject-Token"]


def make(kind, **what):
    return ask("POST", f"/{kind}s", token, {kind: what}).json[kind]["id"]


roles = {role["name"]: role["id"] for role in ask("GET", "/roles", token).json["roles"]}
projects = {name: make("project", name=name, domain_id="default") for name in ("backups", "service")}
users = {name: make("user", name=name, domain_id="default", password=password)
         for name, password in (("ada", "p@ss:w"), ("bob", "p@ss:w"), ("swift", "s"))}
for name, project, role in (("ada", "backups", "member"), ("swift", "service", "admin")):
    ask("PUT", f"/projects/{projects[project]}/users/{users[name]}/roles/{roles[role]}", token)
make("region", id="Two")
service = make("service", name="swift", type="object-store")
made = users["ada"], projects["backups"], service, token
(folder / "made").write_text("".join(line + "\n" for line in made))


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"


# Who can connect to it finds everything ready.
make_server("127.0.0.1", int(port), app, threaded=True, request_handler=Handler).serve_forever()
