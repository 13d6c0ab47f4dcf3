//! The proxies, each told the same: how many workers, keep-alive on both sides, `X-Forwarded-For`, an access log or none.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::machine::{self, Part};
use crate::router::syslog;
use crate::server::{self, Server};

/// Whether requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    Off,
    On,
}

impl Log {
    pub(super) fn variant(self) -> &'static str {
        match self {
            Log::Off => "log-off",
            Log::On => "log-on",
        }
    }
}

/// Which processors a proxy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cores {
    /// The first, for one worker; load and backend have the others.
    One,
    /// All of them, a worker each; load and backend have them too.
    All,
}

impl Cores {
    fn workers(self) -> Result<usize> {
        match self {
            Cores::One => Ok(1),
            Cores::All => machine::processors(),
        }
    }

    fn part(self) -> Part {
        match self {
            Cores::One => Part::Subject,
            Cores::All => Part::Whole,
        }
    }
}

/// A proxy to measure.
pub(super) enum Proxy {
    Forebay(PathBuf),
    Haproxy,
    Nginx,
    /// A cache, which is compared as one.
    Varnish,
}

impl Proxy {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Proxy::Forebay(_) => crate::figures::FOREBAY,
            Proxy::Haproxy => "haproxy",
            Proxy::Nginx => "nginx",
            Proxy::Varnish => "varnish",
        }
    }

    /// Where it is, if it is installed.
    pub(super) fn program(&self) -> Option<PathBuf> {
        match self {
            Proxy::Forebay(path) => Some(path.clone()).filter(|path| path.is_file()),
            Proxy::Haproxy => server::find("haproxy"),
            Proxy::Nginx => server::find("nginx"),
            Proxy::Varnish => server::find("varnishd"),
        }
    }

    /// Starts it in front of `backend`; `None` when it is not installed.
    pub(super) fn start(&self, backend: SocketAddr, log: Log, cores: Cores, folder: &Path) -> Result<Option<Server>> {
        let workers = cores.workers()?;
        let syslog = if log == Log::On { Some(syslog::start()?) } else { None };
        let name = format!("{}-{}-{workers}", self.name(), log.variant());
        self.start_on(cores.part(), &name, folder, |listen, home| match self {
            Proxy::Forebay(_) => Told {
                config: forebay(listen, backend, workers),
                words: if log == Log::On { vec!["--access-log".into(), home.join("access.log")] } else { Vec::new() },
            },
            Proxy::Haproxy => Told::config(haproxy(listen, backend, syslog, workers)),
            Proxy::Nginx => Told::config(nginx(listen, backend, log, home)),
            Proxy::Varnish => Told::varnish(listen, backend, "", home),
        })
    }

    /// Starts it with what `told` makes of its address and its folder; `None` when it is not installed.
    pub(super) fn start_with(
        &self,
        name: &str,
        folder: &Path,
        told: impl FnOnce(SocketAddr, &Path) -> Told,
    ) -> Result<Option<Server>> {
        self.start_on(Part::Subject, name, folder, told)
    }

    fn start_on(
        &self,
        part: Part,
        name: &str,
        folder: &Path,
        told: impl FnOnce(SocketAddr, &Path) -> Told,
    ) -> Result<Option<Server>> {
        let Some(program) = self.program() else { return Ok(None) };
        let listen = server::free_addr()?;
        let home = folder.join(name);
        std::fs::create_dir_all(&home).context("cannot make a folder for a proxy")?;
        let config = home.join("config");
        let Told { config: text, words } = told(listen, &home);
        std::fs::write(&config, text).context("cannot write a proxy's configuration")?;
        let mut command = Command::new(program);
        match self {
            Proxy::Forebay(_) => command.args(["router", "serve", "--data"]).arg(&home).arg("--config").arg(&config),
            Proxy::Haproxy => command.args(["-db", "-f"]).arg(&config),
            Proxy::Nginx => command.arg("-p").arg(&home).arg("-c").arg(&config),
            Proxy::Varnish => command.args(["-F", "-f"]).arg(&config),
        };
        command.args(words);
        Server::start_on(part, command, listen, &home.join("output")).map(Some)
    }
}

/// What a proxy is started with.
pub(super) struct Told {
    pub(super) config: String,
    pub(super) words: Vec<PathBuf>,
}

impl Told {
    pub(super) fn config(config: String) -> Told {
        Told { config, words: Vec::new() }
    }

    /// Varnish with its memory store, without its shared-memory log's readers; `more` is VCL.
    pub(super) fn varnish(listen: SocketAddr, backend: SocketAddr, more: &str, home: &Path) -> Told {
        let (host, port) = (backend.ip(), backend.port());
        let config = format!("vcl 4.1;\nbackend back {{ .host = \"{host}\"; .port = \"{port}\"; }}\n{more}");
        let words = ["-a", &listen.to_string(), "-s", "malloc,256m", "-n"].map(PathBuf::from).into_iter();
        Told { config, words: words.chain([home.join("work")]).collect() }
    }
}

pub(super) fn forebay(listen: SocketAddr, backend: SocketAddr, workers: usize) -> String {
    format!(
        r#"schema = 1
[router]
listen = ["{listen}"]
workers = {workers}
[upstreams.backend]
endpoints = ["{backend}"]
[[routes]]
upstream = "backend"
"#
    )
}

pub(super) fn haproxy(listen: SocketAddr, backend: SocketAddr, syslog: Option<SocketAddr>, workers: usize) -> String {
    let (target, format) = match syslog {
        None => (String::new(), ""),
        Some(sink) => (format!("  log {sink} local0\n"), "  log global\n  option httplog\n"),
    };
    format!(
        "global
  nbthread {workers}
  maxconn 4000
{target}defaults
  mode http
{format}  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend front
  bind {listen}
  default_backend back
backend back
  server one {backend}
"
    )
}

pub(super) fn nginx(listen: SocketAddr, backend: SocketAddr, log: Log, home: &Path) -> String {
    let home = home.display();
    let access_log = match log {
        Log::Off => "off".to_string(),
        Log::On => format!("{home}/access.log"),
    };
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {access_log};
  keepalive_requests 100000000;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  proxy_buffers 8 32k;
  proxy_busy_buffers_size 64k;
  proxy_buffer_size 32k;
  upstream back {{
    server {backend};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"
    )
}
