//! Caches and fragments as operators have them: `forebay purge`, `forebay why`, and the keys of a manifest.

use serde_json::{Value, json};

use crate::rig::alone::Alone;
use crate::rig::{Home, Node, Ran, Reply, Stray, eventually, send};

/// An application that numbers its answers, and has a page of fragments whose last one is late.
const WEB: &str = r#"
import http.server, itertools, os, sys, time
count = itertools.count()
class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text, kind = f"{self.path} {next(count)}", "text/plain"
        if self.path == "/page":
            text = "<" + "".join(f'<esi:include src="/f/{n}"/>' for n in range(5)) + '<esi:include src="/slow"/>>'
            kind = "text/html"
        elif self.path == "/slow":
            time.sleep(3)
        elif self.path.startswith("/f/"):
            text = "."
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store" if self.path == "/slow" else "max-age=600, stale-if-error=600")
        self.send_header("Surrogate-Key", "all " + self.path.strip("/").replace("/", "-"))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True
server = Server(("127.0.0.1", int(os.environ["PORT"])), Web)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

fn trace(reply: &Reply) -> String {
    reply.field("forebay-trace").unwrap().to_string()
}

/// A router alone before one such application, with a cache and with a second route that rewrites.
fn caching() -> (Stray, Alone) {
    let home = Home::new();
    let (script, said) = (home.write("web.py", WEB), home.path("port"));
    let mut command = std::process::Command::new("python3");
    command.arg(script).env("PORT", "0").stdout(std::fs::File::create(&said).unwrap());
    let process = Stray(command.spawn().unwrap());
    let port = eventually("the application listens", || {
        std::fs::read_to_string(&said).unwrap().split_once('\n')?.0.parse::<u16>().ok()
    });
    home.write(
        "router.toml",
        &format!(
            "schema = 1\n[router]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[upstreams.shop]\n\
             endpoints = [\"127.0.0.1:{port}\"]\n[[routes]]\nupstream = \"shop\"\ncache = {{}}\n\
             [[routes]]\npath_prefix = \"/shop\"\nupstream = \"shop\"\ncache = {{}}\nrewrite = {{ prefix = \"/v2\" }}\n"
        ),
    );
    let log = home.path("access.json");
    (process, Alone::serve(home, &["--access-log", log.to_str().unwrap()]))
}

#[test]
fn purge_goes_by_address_as_clients_have_it_and_by_key() {
    let (_web, router) = caching();
    let body = |target: &str| router.get(target).body;
    let purge = |words: &[&str]| -> Ran { router.home.forebay(&[&["purge"], words].concat()) };
    for _ in 0..2 {
        assert_eq!((body("/a").as_str(), body("/b").as_str(), body("/shop/a").as_str()), ("/a 0", "/b 1", "/v2/a 2"));
    }
    purge(&["http://shop/a", "/none"]).ok().says(&["1 answers are gone; of 0 on their way nothing will be kept"]);
    assert_eq!((body("/a").as_str(), body("/b").as_str(), body("/shop/a").as_str()), ("/a 3", "/b 1", "/v2/a 2"));
    let report: Value = serde_json::from_str(&purge(&["/shop/*", "--json"]).ok().stdout).unwrap();
    assert_eq!(report, json!({ "schema": 1, "answers": 1, "under_way": 0 }));
    assert_eq!((body("/shop/a").as_str(), body("/b").as_str()), ("/v2/a 4", "/b 1"));
    purge(&["--key", "b"]).ok().says(&["1 answers are gone"]);
    assert_eq!((body("/b").as_str(), body("/a").as_str()), ("/b 5", "/a 3"));
    purge(&["--key", "all", "--soft"]).ok().says(&["3 answers are stale now"]);
    assert_eq!(body("/b"), "/b 6");
    purge(&["--all"]).ok().says(&["3 answers are gone"]);
    purge(&["shop/a"]).failed(2, "purge_malformed").says(&["https://shop.example/a?b"]);
}

#[test]
fn why_tells_what_the_cache_did() {
    let (web, router) = caching();
    let log = router.home.path("access.json");
    let told = |id: &str| {
        eventually("the line", || std::fs::read_to_string(&log).unwrap().contains(id).then_some(()));
        router.home.forebay(&["why", id, "--access-log", log.to_str().unwrap()]).ok().stdout
    };
    let (first, second) = (trace(&router.get("/a")), trace(&router.get("/a")));
    assert!(told(&first).contains("the cache had no answer: uri-miss\n"), "{}", told(&first));
    assert!(told(&second).contains("the cache answered\n"), "{}", told(&second));
    router.home.forebay(&["purge", "/a", "--soft"]).ok();
    drop(web);
    let stale = router.get("/a");
    assert_eq!((stale.status, stale.body.as_str()), (200, "/a 0"));
    let told = told(&trace(&stale));
    assert!(told.contains("the cache answered, with what was fresh no more\n"), "{told}");
}

/// Speaks as much HTTP/2 as it takes to answer a health check of gRPC, and everything else, with the state that it is told.
const RPC: &str = r#"
import os, socket, threading
STATE = bytes([int(open("state").read())])
def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
def field(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
def serve(client):
    read = client.makefile("rb").read
    if read(24) != b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        return client.close()
    client.sendall(frame(4, 0, 0))
    while head := read(9):
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        payload = read(int.from_bytes(head[:3], "big"))
        if kind in (4, 6) and not flags & 1:
            client.sendall(frame(kind, 1, 0, payload if kind == 6 else b""))
        if kind in (0, 1) and flags & 1:
            client.sendall(
                frame(1, 4, stream, b"\x88" + field(b"content-type", b"application/grpc"))
                + frame(0, 0, stream, b"\0\0\0\0\2\x08" + STATE)
                + frame(1, 5, stream, field(b"grpc-status", b"0")))
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

const MANIFEST: &str = r#"
schema = 1
app = "shop"
[processes.web]
command = "python3 web.py"
health = { path = "/health" }
[processes.rpc]
command = "python3 rpc.py"
health = { grpc = "shop.Prices", timeout_ms = 5000 }
[upstreams.rpc]
protocol = "h2c"
[[routes]]
process = "web"
cache = {}
fragments = { wait_ms_max = 20000 }
[[routes]]
path_prefix = "/rpc"
process = "rpc"
"#;

#[test]
fn a_manifests_cache_fragments_and_grpc_check_are_what_its_node_does() {
    let home = Home::new();
    home.write(
        "node.toml",
        &format!("schema = 1\nkey_file = \"{}\"\n[deploy]\nhealthy_timeout_ms = 20000\n", home.path("key").display()),
    );
    for (name, text) in [("web.py", WEB), ("rpc.py", RPC), ("state", "1"), ("forebay.toml", MANIFEST)] {
        home.write(&format!("shop/{name}"), text);
    }
    let folder = home.path("shop").to_str().unwrap().to_string();
    let node = Node::start_in(home, &["up", &folder]);
    let ready = (node.ready("web", 1), node.ready("rpc", 1));
    assert_eq!(node.get("/rpc/any").field("content-type"), Some("application/grpc"), "it is asked in HTTP/2");

    // Without chunks, which HTTP/1.0 does not have.
    let page = || send(node.http(), "GET /page HTTP/1.0\r\nHost: shop\r\n\r\n").unwrap();
    let (first, second) = (page(), page());
    for reply in [&first, &second] {
        assert_eq!((reply.status, reply.body.as_str()), (200, "<.....>"), "{reply:?}");
    }
    assert!(first.field("cache-status").unwrap().ends_with("fwd=uri-miss; stored"), "{first:?}");
    assert!(second.field("cache-status").unwrap().starts_with("forebay; hit"), "{second:?}");
    let told = eventually("the late fragment has told how late it is", || {
        let ran = node.home.forebay(&["why", &trace(&second)]);
        Some(ran.stdout).filter(|told| told.contains(" ms slower than its page\n"))
    });
    assert!(told.contains("the cache answered\n"), "{told}");
    assert!(told.contains("fragment /slow dropped: the rest of its page was ready\n"), "{told}");
    let late = told.lines().find_map(|line| line.split_once("fragment dropped: ")).unwrap().1;
    let ms: u64 = late.strip_suffix(" ms slower than its page").unwrap().parse().unwrap();
    assert!((1..60_000).contains(&ms), "{late}");

    node.home.forebay(&["purge", "http://shop/page", "--key", "f-1"]).ok().says(&["2 answers are gone"]);
    assert!(page().field("cache-status").unwrap().contains("fwd=uri-miss"));

    // A release whose check says NOT_SERVING is none.
    node.home.write("shop/state", "2");
    let ran = node.home.forebay(&["deploy", &folder]);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    ran.says(&["gRPC health check of `shop.Prices`"]);
    assert_eq!((node.ready("web", 1), node.ready("rpc", 1)), ready, "the release before serves on");
}
