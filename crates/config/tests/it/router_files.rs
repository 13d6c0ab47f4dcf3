//! `router.toml`: a router alone.

use config::RouterFile;
use router::config::{BalanceMethod, ClientCertificate, HedgeConfig, TlsVersion};
use router::standalone::Origin;

const GOOD: &str = r#"
schema = 1

[router]
listen = ["127.0.0.1:8080"]
workers = 2

[upstreams.shop]
endpoints = ["127.0.0.1:9000", "[::1]:9001"]

[[routes]]
host = "shop.example.com"
upstream = "shop"
retries_max = 0

[[routes]]
path_prefix = "/api"
upstream = "shop"
"#;

#[test]
fn a_router_file_means_what_it_says() {
    let file = RouterFile::parse("router.toml", GOOD).unwrap();
    assert_eq!(file.router.workers, 2);
    let endpoints: Vec<_> = file.upstreams["shop"].endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["127.0.0.1:9000", "[::1]:9001"]);
    let routes: Vec<_> = file.routes.iter().map(|r| (r.host.as_deref(), r.path_prefix.as_str())).collect();
    assert_eq!(routes, [(Some("shop.example.com"), "/"), (None, "/api")]);
    assert_eq!((file.routes[0].policy.retries_max, file.routes[1].policy.retries_max), (0, 1));
}

#[test]
fn words_are_words_and_files_of_certificates_are_beside_the_file() {
    let text = GOOD.replace(
        "workers = 2\n",
        "workers = 2\ntls = { listen = [\"[::]:443\"], version_min = \"1.3\", client_certificate = \"required\", \
         client_ca = \"ca.pem\", certificates = [{ cert = \"site.pem\", key = \"/keys/site\" }] }\n",
    );
    let text = text.replace("[::1]:9001\"]", "[::1]:9001\"]\nbalance = { method = \"hash\" }");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.toml");
    std::fs::write(&path, text).unwrap();
    let file = RouterFile::load(&path).unwrap();
    let tls = &file.router.tls;
    assert_eq!((tls.version_min, tls.client_certificate), (TlsVersion::V1_3, ClientCertificate::Required));
    assert_eq!(tls.client_ca.as_deref(), Some(&*folder.path().join("ca.pem")));
    assert_eq!(tls.certificates[0].cert, folder.path().join("site.pem"));
    assert_eq!(tls.certificates[0].key, std::path::Path::new("/keys/site"));
    let balance = file.upstreams["shop"].policy.balance.as_ref().unwrap();
    assert_eq!(balance.method, BalanceMethod::Hash);
}

#[test]
fn a_key_that_takes_one_of_some_words_takes_each_of_them_and_no_other() {
    let with = |method: &str| {
        let balance = format!("[upstreams.shop]\nbalance = {{ method = \"{method}\" }}\n");
        RouterFile::parse("router.toml", &GOOD.replace("[upstreams.shop]\n", &balance))
    };
    for (word, method) in
        [("p2c", BalanceMethod::P2c), ("round_robin", BalanceMethod::RoundRobin), ("hash", BalanceMethod::Hash)]
    {
        assert_eq!(with(word).unwrap().upstreams["shop"].policy.balance.as_ref().unwrap().method, method);
    }
    insta::assert_snapshot!(with("random").unwrap_err(), @r#"
    `method` is "random": expected one of p2c, round_robin, hash
      at upstreams.shop.balance.method (router.toml:9:22)
      9 | balance = { method = "random" }
        |                      ^^^^^^^^
    "#);
}

#[test]
fn slips_are_told() {
    let error =
        RouterFile::parse("router.toml", &GOOD.replace("upstream = \"shop\"", "upstream = \"shpo\"")).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    there is no upstream `shpo`
      at routes[0].upstream (router.toml:13:12)
      13 | upstream = "shpo"
         |            ^^^^^^
    hint: did you mean `shop`?

    there is no upstream `shpo`
      at routes[1].upstream (router.toml:18:12)
      18 | upstream = "shpo"
         |            ^^^^^^
    hint: did you mean `shop`?
    "#);
    let text = "schema = 1\n[upstreams.a]\nendpoints = [\"localhost:80\"]\n[upstreams.b]\nendpoints = []\n[upstreams.c]\n[[routes]]\nbackend = \"a\"\n";
    let error = RouterFile::parse("router.toml", text).unwrap_err().to_string();
    let (told, known) = error.split_once("\nhint: known here: ").unwrap();
    assert!(known.starts_with("basic_auth, ") && known.ends_with(", upstream"), "{known}");
    insta::assert_snapshot!(told, @r#"
    `endpoints` is "localhost:80": expected ADDRESS:PORT, such as 127.0.0.1:9000 or [::1]:9000
      at upstreams.a.endpoints[0] (router.toml:3:14)
      3 | endpoints = ["localhost:80"]
        |              ^^^^^^^^^^^^^^

    `upstream` is missing in routes[0]: expected a text in quotes
      at routes[0].upstream (router.toml:7:1)
      7 | [[routes]]
        | ^^^^^^^^^^

    unknown key `backend` in routes[0]
      at routes[0].backend (router.toml:8:1)
      8 | backend = "a"
        | ^^^^^^^
    "#);
    let twice =
        GOOD.replace("[::1]:9001", "127.0.0.1:9000").replace("host = \"shop.example.com\"", "path_prefix = \"/api/\"");
    insta::assert_snapshot!(RouterFile::parse("router.toml", &twice).unwrap_err(), @r#"
    127.0.0.1:9000 is there twice
      at upstreams.shop.endpoints[1] (router.toml:9:32)
      9 | endpoints = ["127.0.0.1:9000", "127.0.0.1:9000"]
        |                                ^^^^^^^^^^^^^^^^

    the route is the same as routes[0]
      at routes[1] (router.toml:16:1)
      16 | [[routes]]
         | ^^^^^^^^^^
    "#);
}

#[test]
fn a_hedge_is_a_table_or_the_word_always() {
    let with =
        |hedge: &str| GOOD.replace("path_prefix = \"/api\"", &format!("path_prefix = \"/api\"\nhedge = {hedge}"));
    let read = |hedge| RouterFile::parse("router.toml", &with(hedge)).map(|file| file.routes[1].policy.hedge.clone());
    assert_eq!(read("\"always\"").unwrap(), Some(HedgeConfig::always()));
    let by_percentile = HedgeConfig { delay_ms: None, percentile: 90, floor_ms: 5 };
    assert_eq!(read("{ percentile = 90, floor_ms = 5 }").unwrap(), Some(by_percentile));
    for (wrong, said) in [
        ("\"never\"", "`hedge` is \"never\": expected \"always\" or a table"),
        ("{ percentile = 100 }", "`percentile` is 100: expected a whole number from 50 to 99"),
        ("{ after = 3 }", "unknown key `after` in routes[1].hedge"),
        ("3", "`hedge` is of the wrong type, a whole number: expected \"always\" or a table"),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn tls_and_checks_of_an_upstream_fit_its_protocol() {
    let read = |keys: &str| {
        let text = GOOD.replace("endpoints = [\"127.0.0.1:9000\", \"[::1]:9001\"]", keys);
        RouterFile::parse("router.toml", &text).map_err(|error| error.to_string())
    };
    let named = |keys: &str| read(keys).unwrap().upstreams["shop"].tls().unwrap().server_name;
    assert_eq!(named("dns = \"web.internal:443\"\ntls = {}").as_deref(), Some("web.internal"));
    assert_eq!(
        named("dns = \"web.internal:443\"\ntls = { server_name = \"b.example\" }").as_deref(),
        Some("b.example")
    );
    assert_eq!(named("endpoints = [\"127.0.0.1:443\"]\ntls = {}"), None);
    let at = "endpoints = [\"127.0.0.1:9\"]\n";
    for (keys, said) in [
        (format!("{at}protocol = \"h2c\"\ntls = {{}}"), "`h2c` is HTTP/2 without TLS"),
        ("srv = \"_http._tcp.web.internal\"\ntls = {}".into(), "no name to check certificates of `srv` with"),
        (format!("{at}health = {{ grpc = \"\" }}"), "gRPC needs HTTP/2"),
        (format!("{at}tls = {{ protocols = [\"http/1.1\"] }}\nhealth = {{ grpc = \"\" }}"), "gRPC needs HTTP/2"),
        (format!("{at}protocol = \"h2c\"\nhealth = {{ grpc = \"\", path = \"/\" }}"), "the check has a `path` already"),
        (format!("{at}tls = {{ protocols = [] }}"), "`protocols`"),
    ] {
        let error = read(&keys).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    assert!(read(&format!("{at}tls = {{}}\nhealth = {{ grpc = \"\" }}\nproxy_protocol = \"v2\"")).is_ok());
}

#[test]
fn endpoints_come_from_a_list_a_host_or_a_service() {
    let upstream = |keys: &str| GOOD.replace("endpoints = [\"127.0.0.1:9000\", \"[::1]:9001\"]", keys);
    let origin = |keys: &str| {
        let file = RouterFile::parse("router.toml", &upstream(keys)).unwrap();
        file.upstreams["shop"].origin().unwrap()
    };
    let name = |text: &str| text.parse().unwrap();
    assert_eq!(origin("dns = \"Web.internal:8080\""), Origin::Host(name("web.internal"), 8_080));
    let checked = "srv = \"_http._tcp.web.internal\"\nhealth = { path = \"/up\", interval_ms = 500 }";
    assert_eq!(origin(checked), Origin::Service(name("_http._tcp.web.internal")));
    for keys in ["endpoints = []", "dns = \"a:1\"\nsrv = \"b\"", "endpoints = [\"127.0.0.1:9\"]\ndns = \"a:1\""] {
        let error = RouterFile::parse("router.toml", &upstream(keys)).unwrap_err().to_string();
        assert!(error.contains("`shop` needs one of `endpoints`, `dns` and `srv`, and has "), "{error}");
    }
    for keys in ["dns = \"web.internal\"", "dns = \"web.internal:0\"", "dns = \"127.0.0.1:80\"", "srv = \"a b\""] {
        assert!(RouterFile::parse("router.toml", &upstream(keys)).is_err(), "{keys}");
    }
}

#[test]
fn what_a_route_does_with_requests_is_told_where_it_cannot_be_done() {
    let told = |keys: &str| {
        let text = GOOD.replace("retries_max = 0\n", keys);
        RouterFile::parse("router.toml", &text).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        told("clients = { allow = [\"10.0.0.0/33\"] }\nrewrite = { prefix = \"v2\" }\n"), @r#"
    `allow` is "10.0.0.0/33": expected an address or a network, such as 10.0.0.7 or 10.0.0.0/8
      at routes[0].clients.allow[0] (router.toml:14:22)
      14 | clients = { allow = ["10.0.0.0/33"] }
         |                      ^^^^^^^^^^^^^

    `prefix` is "v2": expected a path beginning with '/', without spaces, '?', '#', '//' and '.' segments
      at routes[0].rewrite.prefix (router.toml:15:22)
      15 | rewrite = { prefix = "v2" }
         |                      ^^^^
    "#);
    insta::assert_snapshot!(
        told(
            "redirect = { to = \"//elsewhere\", status = 304 }\n\
             reply_headers = { set = { connection = \"close\" }, remove = [\"a b\"] }\n"
        ), @r#"
    it is neither http(s)://HOST... nor a path that begins with a name of its own
      at routes[0].redirect.to (router.toml:14:19)
      14 | redirect = { to = "//elsewhere", status = 304 }
         |                   ^^^^^^^^^^^^^

    this field is the router's own affair
      at routes[0].reply_headers.set.connection (router.toml:15:40)
      15 | reply_headers = { set = { connection = "close" }, remove = ["a b"] }
         |                                        ^^^^^^^

    this is no name of a header field
      at routes[0].reply_headers.remove (router.toml:15:60)
      15 | reply_headers = { set = { connection = "close" }, remove = ["a b"] }
         |                                                            ^^^^^^^
    "#);
    let text = GOOD.replace("retries_max = 0\n", "redirect = { to = \"/new{query}\" }\n");
    let file = RouterFile::parse("router.toml", &text).unwrap();
    assert_eq!(file.routes[0].policy.redirect.as_ref().unwrap().status, 308);
}

#[test]
fn users_are_lines_with_bcrypt_hashes_from_the_file_or_from_one_of_their_own() {
    let hash = "$2y$10$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let folder = tempfile::tempdir().unwrap();
    let load = |users: &str| {
        std::fs::write(folder.path().join("staff"), users).unwrap();
        let auth = "basic_auth = { realm = \"staff\", users_file = \"staff\" }\n";
        let path = folder.path().join("router.toml");
        std::fs::write(&path, GOOD.replace("retries_max = 0\n", auth)).unwrap();
        RouterFile::load(&path).map_err(|error| error.to_string())
    };
    let file = load(&format!("# the staff\n\nann:{hash}\nbob:{hash}\n")).unwrap();
    let auth = file.routes[0].policy.basic_auth.as_ref().unwrap();
    assert_eq!((auth.users.len(), &auth.users_file), (2, &None));
    let plain = load("ann:secret\n").unwrap_err();
    assert!(plain.contains("staff: line 1: only bcrypt hashes are compared"), "{plain}");
    assert!(!plain.contains("secret"), "{plain}");
    assert!(load("").unwrap_err().contains("it names no user"));
    std::fs::remove_file(folder.path().join("staff")).unwrap();
    let missing = RouterFile::load(&folder.path().join("router.toml")).unwrap_err().to_string();
    assert!(missing.contains("staff: cannot be read"), "{missing}");

    let told = |lines: &str| {
        RouterFile::parse("router.toml", &GOOD.replace("retries_max = 0\n", lines)).unwrap_err().to_string()
    };
    assert!(told("basic_auth = { users = [\"ann:secret\"] }\n").contains("only bcrypt"));
    let kept = format!(
        "basic_auth = {{ users = [\"ann:{hash}\"] }}\ncache = {{}}\nrequest_headers = {{ remove = [\"Authorization\"] }}\n"
    );
    assert!(told(&kept).contains("would be kept for all"), "{}", told(&kept));
}
