//! Asking for the endpoints that a name stands for.

use std::net::SocketAddr;
use std::time::Duration;

use net::dns::{DnsError, Found, Resolver};

use super::lookup::{Member, Scale};
use super::plan::Origin;

/// Hosts of one service that are looked up.
const HOSTS_MAX: usize = 64;

/// The endpoints that a name stands for now.
pub(super) async fn look_up(resolver: &Resolver, origin: &Origin) -> Result<Found<Member>, DnsError> {
    match origin {
        Origin::Fixed(addrs) => {
            Ok(Found { items: addrs.iter().copied().map(Member::at).collect(), ttl: Duration::MAX })
        }
        Origin::Host(name, port) => {
            let Found { items, ttl } = resolver.addresses(name).await?;
            Ok(Found { items: items.into_iter().map(|ip| Member::at((ip, *port).into())).collect(), ttl })
        }
        Origin::Service(name) => {
            let Found { items: mut services, mut ttl } = resolver.services(name).await?;
            services.sort_by_key(|one| one.priority);
            let weigh = Scale::of(&services);
            let mut items = Vec::new();
            let mut failed = None;
            for service in services.iter().take(HOSTS_MAX) {
                let (priority, weight) = (service.priority, weigh.weight(service));
                match resolver.addresses(&service.target).await {
                    Ok(found) => {
                        ttl = ttl.min(found.ttl);
                        let addrs = found.items.into_iter().map(|ip| SocketAddr::new(ip, service.port));
                        items.extend(addrs.map(|addr| Member { priority, addr, weight }));
                    }
                    Err(error) if service.priority == services[0].priority => failed = Some(error),
                    // One that stands by is missed when it is needed; those that serve do not wait for its name.
                    Err(error) => tracing::debug!(%name, host = %service.target, %error, "not looked up"),
                }
            }
            // A host that cannot be looked up now must not lose its place: all of the answer, or what was known.
            failed.map_or(Ok(Found { items, ttl }), Err)
        }
    }
}
