"""A small plugin of Docker's protocol, as a program: a bridge for a network, veth pairs for endpoints, addresses from
a list. It makes everything with iproute2 in the network namespace it runs in, and writes down what it is asked.

``python plugin.py SOCKET LOG [DELAY]``; prints ``ready`` when it listens. Standard library only.
"""

import contextlib
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_network


def ip(words):
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


class Books:
    """What the plugin knows. One method for each of the protocol."""

    def __init__(self):
        self.pools = {}
        self.given = {}

    def activate(self, body):
        return {"Implements": ["NetworkDriver", "IpamDriver"]}

    def network_getcapabilities(self, body):
        return {"Scope": "local", "ConnectivityScope": "local"}

    def network_createnetwork(self, body):
        if body["Options"]["com.docker.network.generic"].get("refuse"):
            return {"Err": "this plugin does not like it"}
        name = "plg" + body["NetworkID"][:8]
        ip(f"link add {name} type bridge")
        for data in body["IPv4Data"]:
            if data["Gateway"]:
                ip(f"addr add {data['Gateway']} dev {name}")
        ip(f"link set {name} up")
        return {}

    def network_deletenetwork(self, body):
        ip(f"link del plg{body['NetworkID'][:8]}")
        return {}

    def network_createendpoint(self, body):
        if body["Options"].get("refuse"):
            return {"Err": "no room"}
        end = body["EndpointID"][:8]
        ip(f"link add pla{end} type veth peer name plb{end}")
        ip(f"link set pla{end} master plg{body['NetworkID'][:8]} up")
        if body["Interface"]["MacAddress"]:
            return {}
        last = int(ip_address(body["Interface"]["Address"].partition("/")[0])) & 0xFF
        return {"Interface": {"MacAddress": f"02:99:00:00:00:{last:02x}"}}

    def network_endpointoperinfo(self, body):
        return {"Value": {}}

    def network_deleteendpoint(self, body):
        ip(f"link del pla{body['EndpointID'][:8]}")
        return {}

    def network_join(self, body):
        assert os.path.exists(body["SandboxKey"]), body
        name = "plg" + body["NetworkID"][:8]
        shown = json.loads(subprocess.run(["ip", "-j", "addr", "show", name], check=True, capture_output=True).stdout)
        gateway = next((one["local"] for one in shown[0]["addr_info"] if one["family"] == "inet"), "")
        names = {"SrcName": "plb" + body["EndpointID"][:8], "DstPrefix": "plug"}
        routes = [{"Destination": "203.0.113.0/24", "RouteType": 0, "NextHop": gateway}]
        return {"InterfaceName": names, "Gateway": gateway, "StaticRoutes": routes}

    def network_leave(self, body):
        return {}

    def ipam_getcapabilities(self, body):
        return {"RequiresMACAddress": False}

    def ipam_getdefaultaddressspaces(self, body):
        return {"LocalDefaultAddressSpace": "plug-local", "GlobalDefaultAddressSpace": "plug-global"}

    def ipam_requestpool(self, body):
        if body["Options"].get("refuse"):
            return {"Error": "no pools today"}
        subnet = body["Pool"] or "10.77.0.0/24"
        identity = f"{body['AddressSpace']}/{subnet}"
        self.given.setdefault(identity, set())
        return {"PoolID": identity, "Pool": subnet, "Data": {}}

    def ipam_releasepool(self, body):
        return {}

    def ipam_requestaddress(self, body):
        subnet = ip_network(body["PoolID"].partition("/")[2])
        given = self.given[body["PoolID"]]
        wanted = body["Address"] or next(str(one) for one in subnet.hosts() if str(one) not in given)
        if wanted in given:
            return {"Error": "Address already in use"}
        given.add(wanted)
        return {"Address": f"{wanted}/{subnet.prefixlen}", "Data": {}}

    def ipam_releaseaddress(self, body):
        self.given[body["PoolID"]].discard(body["Address"])
        return {}


class Handler(BaseHTTPRequestHandler):
    """Looks the method up; what it does not know is 404, as the protocol wants."""

    books = Books()
    lock = threading.Lock()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
        kind, _, method = self.path.strip("/").partition(".")
        prefix = {"Plugin": "", "NetworkDriver": "network_", "IpamDriver": "ipam_"}[kind]
        found = getattr(self.books, prefix + method.lower(), None)
        with self.lock:
            with open(sys.argv[2], "a") as log:
                log.write(json.dumps([self.path.strip("/"), body]) + "\n")
            time.sleep(float(sys.argv[3]) if len(sys.argv) > 3 else 0)
            status, answer = (200, found(body)) if found else (404, {"Err": "no such method"})
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self):
        return "engine"

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    with contextlib.suppress(FileNotFoundError):
        os.unlink(sys.argv[1])
    with Server(sys.argv[1], Handler) as server:
        print("ready", flush=True)
        server.serve_forever()
