//! Other processes of this machine, as `/proc` shows them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result};

/// The ids of the processes that have `text` in an argument.
#[must_use]
pub fn with_argument(text: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        *id != std::process::id() && arguments(*id).is_some_and(|all| all.contains(text))
    })
    .collect()
}

fn arguments(id: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The children of a process that run a program of this name.
#[must_use]
pub fn children(parent: u32, name: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| is_child(*id, parent, name)).collect()
}

fn is_child(id: u32, parent: u32, name: &str) -> bool {
    // "<id> (<name>) <state> <parent> …"
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else {
        return false;
    };
    let Some((before, after)) = stat.rsplit_once(')') else {
        return false;
    };
    before.ends_with(&format!("({name}"))
        && after.split_whitespace().nth(1) == Some(&parent.to_string())
}

/// Ends a process at once, as a crash would.
pub fn kill(id: u32) {
    signal(id, rustix::process::Signal::KILL);
}

/// Asks a process to end.
pub fn terminate(id: u32) {
    signal(id, rustix::process::Signal::TERM);
}

fn signal(id: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Where a process listens for TCP connections.
///
/// # Errors
/// When the process is gone.
pub fn listeners(id: u32) -> Result<Vec<SocketAddr>> {
    let mut sockets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{id}/fd")).with_context(|| format!("process {id}"))? {
        let link = fs::read_link(entry?.path()).unwrap_or_default();
        sockets.extend(inode(&link));
    }
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{id}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(address), Some(&"0A"), Some(inode)) =
                (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            if sockets.iter().any(|socket| socket == inode) {
                found.push(
                    address_of(address).with_context(|| format!("not an address: {address}"))?,
                );
            }
        }
    }
    Ok(found)
}

fn inode(link: &Path) -> Option<String> {
    Some(
        link.to_str()?
            .strip_prefix("socket:[")?
            .strip_suffix(']')?
            .to_owned(),
    )
}

/// `0100007F:1B9E` is 127.0.0.1:7070: each word of the address is in the byte order of the machine.
fn address_of(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<u8> = (0..address.len() / 8)
        .filter_map(|n| u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok())
        .flat_map(u32::to_ne_bytes)
        .collect();
    let ip: IpAddr = match words.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(words).ok()?).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).into(),
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_listener_is_seen_with_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let seen = listeners(std::process::id()).unwrap();
        assert!(seen.contains(&listener.local_addr().unwrap()), "{seen:?}");
    }
}
