//! Manifests that are taken, and what they mean.

use config::Manifest;
use deploy::config::HealthConfig;

use crate::support::shop;

#[test]
fn a_full_manifest_means_what_it_says() {
    let manifest = Manifest::parse(
        r#"
schema = 1
app = "shop"
owner = "shop@example.com"
secrets = ["API_KEY", "DATABASE_URL"]

[env]
GREETING = "good day"

[processes.web]
command = "python3 web.py"
instances = 2
stop_timeout_ms = 5_000
secrets_env = ["DATABASE_URL"]
limits = { memory_bytes_max = 67108864 }

[processes.web.health]
path = "/up"
interval_ms = 500

[processes.worker]
command = "python3 worker.py"

[[routes]]
host = "shop.example.com"
path_prefix = "/shop/"
process = "web"
deadline_ms = 2000
body_bytes_max = 1_048_576

[queues.orders]
attempts_max = 5
retry_delay_ms = 1000
"#,
    )
    .unwrap();
    assert_eq!(manifest.app.as_str(), "shop");
    assert_eq!(manifest.owner.as_deref(), Some("shop@example.com"));
    assert_eq!(manifest.secrets.iter().collect::<Vec<_>>(), ["API_KEY", "DATABASE_URL"]);
    assert_eq!(manifest.env["GREETING"], "good day");
    let web = &manifest.processes["web"];
    assert_eq!((web.instances, web.stop_timeout_ms, web.stdout_block_ms), (2, 5_000, 250));
    assert_eq!(web.health, Some(HealthConfig { path: "/up".into(), interval_ms: 500, ..Default::default() }));
    assert_eq!((web.limits.memory_bytes_max, web.limits.pids_max), (64 << 20, 256));
    assert_eq!(web.secrets_env, ["DATABASE_URL"]);
    let worker = &manifest.processes["worker"];
    assert_eq!((worker.instances, worker.health.clone(), worker.stop_timeout_ms), (1, None, 10_000));
    let route = &manifest.routes[0];
    assert_eq!((route.host.as_deref(), route.path_prefix.as_str()), (Some("shop.example.com"), "/shop/"));
    assert_eq!((route.policy.deadline_ms, route.policy.try_timeout_ms), (2_000, 10_000));
    assert_eq!((route.policy.body_bytes_max, route.policy.retries_max), (Some(1 << 20), 1));
    let orders = &manifest.queues["orders"];
    assert_eq!((orders.attempts_max, orders.retry_delay_ms, orders.jobs_max), (5, 1_000, 1_000_000));
    assert_eq!(manifest.routed().iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["web"]);
}

#[test]
fn ways_to_write_the_same_thing_are_all_taken() {
    for more in [
        "",
        "[[routes]]\nprocess = \"web\"\n",
        "[[routes]]\nprocess = \"web\"\n[[routes]]\nprocess = \"worker\"\npath_prefix = \"/admin\"\n",
        "[[routes]]\nhost = \"a.example\"\nprocess = \"web\"\n[[routes]]\nhost = \"b.example\"\nprocess = \"web\"\n",
        "[queues.\"a+b/c;d.$_()\"]\njobs_max = 10\n",
        "[processes.idle]\ncommand = \"sleep 1\"\ninstances = 0\n",
        "[processes.queue]\ncommand = \"php artisan queue:work\"\n",
        "[processes.web.health]\n",
    ] {
        Manifest::parse(&shop(more)).unwrap_or_else(|e| panic!("{more}\n{e}"));
    }
    // A file that an editor on Windows saved, with a byte order mark.
    Manifest::parse(&format!("\u{feff}{}", shop("").replace('\n', "\r\n"))).unwrap();
}

#[test]
fn a_hostile_manifest_costs_little_and_ends_in_an_error() {
    let deep = format!("schema = 1\na = {}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let wide: String = (0..20_000).map(|n| format!("key{n} = 1\n")).collect();
    let quotes = format!("schema = 1\napp = \"{}", "a\\u0041".repeat(20_000));
    for text in [deep, format!("schema = 1\n{wide}"), quotes, "\u{0}\u{1}\u{7f}".repeat(1_000), "x".repeat(2 << 20)] {
        let error = Manifest::parse(&text).unwrap_err();
        assert!(error.problems.len() <= 20);
        assert!(error.to_string().len() < 32 << 10, "an error of {} bytes", error.to_string().len());
    }
}
