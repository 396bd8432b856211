//! The mock, beside other echoes and proxies: messages a second, what a proxy adds to a round trip, idle connections, and long scripts.

mod crowd;
mod peers;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::crowd::{Crowd, Shape, idle, round_trips};
use crate::family::Figures;
use crate::load::Socket;
use crate::measure::{Spread, count, seconds};
use crate::plot::{Kind, Panel, Plot};
use crate::process::Process;
use crate::table::Table;
use crate::{cores, npm};

/// Where all of them have their WebSocket.
const PATH: &str = "/ws";

/// How much is measured.
struct Size {
    rounds: usize,
    connections: usize,
    warm: Duration,
    time: Duration,
    round_trips: usize,
    idle: usize,
    /// Each takes two sockets of a proxy.
    idle_through_proxy: usize,
    script_lines: usize,
    /// Connections that play the script at once.
    players: usize,
}

const FULL: Size = Size {
    rounds: 3,
    connections: 50,
    warm: Duration::from_secs(1),
    time: Duration::from_secs(4),
    round_trips: 20_000,
    idle: 10_000,
    idle_through_proxy: 5_000,
    script_lines: 1_000_000,
    players: 10,
};

/// For whoever tries whether all of it runs: `REJOIN_BENCH_SMALL=1`.
const SMALL: Size = Size {
    rounds: 1,
    connections: 5,
    warm: Duration::from_millis(100),
    time: Duration::from_millis(200),
    round_trips: 200,
    idle: 200,
    idle_through_proxy: 100,
    script_lines: 10_000,
    players: 2,
};

/// Messages of a connection that are under way.
const WINDOW: usize = 16;
const MESSAGE_BYTES: [usize; 2] = [64, 16 << 10];
/// Connections that are there before, so that what the first ones cost is not counted.
const WARM_CONNECTIONS: usize = 100;
/// Until whoever collects garbage has done so.
const REST: Duration = Duration::from_secs(2);
const MIB: f64 = 1_048_576.0;

/// What a server did in a round.
#[derive(Clone, Default)]
struct Rates {
    /// Messages a second.
    rate: Vec<f64>,
    /// Time of the processor for each, in seconds.
    cost: Vec<f64>,
}

pub(crate) fn run() -> Result<Figures> {
    cores::pin_generator()?;
    npm::install()?;
    let size = if std::env::var_os("REJOIN_BENCH_SMALL").is_some() { &SMALL } else { &FULL };
    let mut figures = Figures::default();
    echoes(size, &mut figures)?;
    proxies(size, &mut figures)?;
    added(size, &mut figures)?;
    idle_connections(size, &mut figures)?;
    replay(size, &mut figures)?;
    Ok(figures)
}

fn echoes(size: &Size, figures: &mut Figures) -> Result<()> {
    let echoes = peers::echoes()?;
    let mut runs = vec![[Rates::default(), Rates::default()]; echoes.len()];
    for _ in 0..size.rounds {
        for (echo, runs) in echoes.iter().zip(&mut runs) {
            for (bytes, rates) in MESSAGE_BYTES.into_iter().zip(runs) {
                let server = echo.start()?;
                flow(size, bytes, &server, rates).with_context(|| echo.name.clone())?;
                say("echo", &echo.name, bytes, rates);
            }
        }
    }
    let title = format!("Echoes, {} connections with {WINDOW} messages under way each", size.connections);
    let names: Vec<String> = echoes.into_iter().map(|echo| echo.name).collect();
    figures.tables.push(rates_table(&title, "server", &names, &runs));
    figures.plots.push(rates_plot("mock-echo", &title, names, &runs));
    Ok(())
}

fn proxies(size: &Size, figures: &mut Figures) -> Result<()> {
    let proxies = peers::between()?;
    let mut runs = vec![[Rates::default(), Rates::default()]; proxies.len()];
    for _ in 0..size.rounds {
        for (proxy, runs) in proxies.iter().zip(&mut runs) {
            for (bytes, rates) in MESSAGE_BYTES.into_iter().zip(runs) {
                let upstream = peers::bare()?;
                let between = proxy.start(upstream.address)?;
                let server = between.as_ref().unwrap_or(&upstream);
                flow(size, bytes, server, rates).with_context(|| proxy.name.clone())?;
                say("proxy", &proxy.name, bytes, rates);
            }
        }
    }
    let title = format!(
        "The same through a proxy, which shares its core with the bare echo behind it, {} connections",
        size.connections
    );
    let names: Vec<String> = proxies.into_iter().map(|proxy| proxy.name).collect();
    figures.tables.push(rates_table(&title, "way", &names, &runs));
    figures.plots.push(rates_plot("mock-proxy", &title, names, &runs));
    Ok(())
}

/// Has messages go back and forth, and takes the time of the server's processor for them.
fn flow(size: &Size, message_bytes: usize, server: &Process, rates: &mut Rates) -> Result<()> {
    let shape = Shape { connections: size.connections, window: WINDOW, message_bytes };
    let mut crowd = Crowd::gather(server.address, shape)?;
    crowd.run(size.warm)?;
    let (echoes, processor, started) = (crowd.echoes(), server.processor_time()?, Instant::now());
    crowd.run(size.time)?;
    let (echoes, took) = ((crowd.echoes() - echoes) as f64, started.elapsed().as_secs_f64());
    ensure!(echoes > 0.0, "nothing came back");
    let processor = server.processor_time()?.saturating_sub(processor);
    rates.rate.push(echoes / took);
    rates.cost.push(processor.as_secs_f64() / echoes);
    Ok(())
}

fn say(what: &str, name: &str, bytes: usize, rates: &Rates) {
    let last = |figures: &[f64]| figures.last().copied().unwrap_or_default();
    let (rate, cost) = (count(last(&rates.rate)), seconds(last(&rates.cost)));
    eprintln!("{what}: {name}: {bytes} bytes: {rate} a second, {cost}");
}

fn rates_table(title: &str, first: &str, names: &[String], runs: &[[Rates; 2]]) -> Table {
    let mut columns = vec![first.to_owned()];
    for bytes in MESSAGE_BYTES {
        columns.push(format!("messages a second of {}", size_of(bytes)));
        columns.push("its processor time for each".to_owned());
    }
    let mut table = Table::of(title, columns);
    for (name, runs) in names.iter().zip(runs) {
        let cells = runs.iter().flat_map(|rates| {
            [
                Spread::of(rates.rate.iter().copied()).cell(count),
                Spread::of(rates.cost.iter().copied()).cell(seconds),
            ]
        });
        table.row([name.clone()].into_iter().chain(cells));
    }
    table
}

fn size_of(bytes: usize) -> String {
    if bytes < 1_024 { format!("{bytes} bytes") } else { format!("{} KiB", bytes / 1_024) }
}

fn rates_plot(name: &'static str, title: &str, series: Vec<String>, runs: &[[Rates; 2]]) -> Plot {
    let panel = |(at, bytes): (usize, usize)| {
        let bars = runs.iter().map(|runs: &[Rates; 2]| {
            let median = Spread::of(runs[at].rate.iter().copied()).median;
            Some((median, count(median)))
        });
        Panel { title: format!("messages a second of {}", size_of(bytes)), kind: Kind::Bars(bars.collect()) }
    };
    let panels = MESSAGE_BYTES.into_iter().enumerate().map(panel).collect();
    Plot { name, title: title.to_owned(), series, panels }
}

/// One message at a time: what a proxy adds to what it takes without.
fn added(size: &Size, figures: &mut Figures) -> Result<()> {
    let proxies = peers::between()?;
    let mut runs = vec![[const { Vec::new() }; 2]; proxies.len()];
    for _ in 0..size.rounds {
        for (proxy, runs) in proxies.iter().zip(&mut runs) {
            let upstream = peers::bare()?;
            let between = proxy.start(upstream.address)?;
            let address = between.as_ref().unwrap_or(&upstream).address;
            let times = round_trips(address, size.round_trips, MESSAGE_BYTES[0])
                .with_context(|| proxy.name.clone())?;
            for (permille, runs) in [500, 990].into_iter().zip(runs) {
                runs.push(times.permille(permille).as_secs_f64());
            }
            eprintln!("round trip: {}: {:?} {:?}", proxy.name, times.permille(500), times.permille(990));
        }
    }
    let title =
        format!("Round trips of {} bytes, one at a time, {} of them", MESSAGE_BYTES[0], size.round_trips);
    let mut table = Table::new(title.clone(), ["way", "p50", "p99", "added to p50", "added to p99"]);
    let spreads: Vec<[Spread; 2]> =
        runs.iter().map(|runs| [0, 1].map(|at: usize| Spread::of(runs[at].iter().copied()))).collect();
    let direct = spreads.first().copied().unwrap_or_default();
    for (proxy, spreads) in proxies.iter().zip(&spreads) {
        let added = [0, 1].map(|at: usize| seconds(spreads[at].median - direct[at].median));
        let added = if proxy.name == proxies[0].name { ["–".to_owned(), "–".to_owned()] } else { added };
        let cells = spreads.map(|spread| spread.cell(seconds)).into_iter().chain(added);
        table.row([proxy.name.clone()].into_iter().chain(cells));
    }
    figures.tables.push(table);
    let panel = |at: usize, title: &str| {
        let bars = spreads.iter().map(|spreads| Some((spreads[at].median, seconds(spreads[at].median))));
        Panel { title: title.to_owned(), kind: Kind::Bars(bars.collect()) }
    };
    let panels = vec![panel(0, "p50"), panel(1, "p99")];
    let series = proxies.into_iter().map(|proxy| proxy.name).collect();
    figures.plots.push(Plot { name: "mock-latency", title, series, panels });
    Ok(())
}

fn idle_connections(size: &Size, figures: &mut Figures) -> Result<()> {
    let title = "Memory for each connection on which nothing happens".to_owned();
    let mut table = Table::new(title, ["server", "connections", "KiB each"]);
    for echo in peers::echoes()? {
        let each = rounds(size, || {
            let server = echo.start()?;
            resident(&server, size.idle)
        });
        let each = each.with_context(|| echo.name.clone())?;
        table.row([echo.name, size.idle.to_string(), each.cell(kibibytes)]);
    }
    for proxy in peers::between()?.into_iter().skip(1) {
        let each = rounds(size, || {
            let upstream = peers::bare()?;
            let between = proxy.start(upstream.address)?.context("no proxy")?;
            resident(&between, size.idle_through_proxy)
        });
        let each = each.with_context(|| proxy.name.clone())?;
        table.row([proxy.name, size.idle_through_proxy.to_string(), each.cell(kibibytes)]);
    }
    figures.tables.push(table);
    Ok(())
}

fn kibibytes(figure: f64) -> String {
    format!("{figure:.1}")
}

fn rounds(size: &Size, measure: impl Fn() -> Result<f64>) -> Result<Spread> {
    let measured: Vec<f64> = (0..size.rounds).map(|_| measure()).collect::<Result<_>>()?;
    Ok(Spread::of(measured))
}

/// KiB of a server for each of so many connections.
fn resident(server: &Process, connections: usize) -> Result<f64> {
    let _warm = idle(server.address, WARM_CONNECTIONS)?;
    std::thread::sleep(REST);
    let before = server.resident_bytes()?;
    let _idle = idle(server.address, connections)?;
    std::thread::sleep(REST);
    let after = server.resident_bytes()?;
    Ok(after.saturating_sub(before) as f64 / connections as f64 / 1_024.0)
}

/// A long script: how long it takes to be read, and what it takes of memory, before and after it was played.
fn replay(size: &Size, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut table = Table::new(
        format!(
            "A script of {} lines, played by {} connections at once",
            count(size.script_lines as f64),
            size.players
        ),
        ["", "texts as they are", "with a token each"],
    );
    let mut columns = Vec::new();
    for (name, text) in
        [("plain", r#"{\"number\":NUMBER,\"price\":101.25}"#), ("tokens", "NUMBER {{randInt 1 100}}")]
    {
        let path = folder.path().join(name);
        write_script(&path, size.script_lines, text)?;
        columns.push(played(size, &path)?);
    }
    for (at, what) in ROWS.into_iter().enumerate() {
        let cells = columns.iter().map(|column: &[Vec<f64>; 5]| {
            let spread = Spread::of(column[at].iter().copied());
            match at {
                1 => spread.cell(seconds),
                4 => spread.cell(count),
                _ => spread.cell(|value| format!("{value:.1}")),
            }
        });
        table.row([what.to_owned()].into_iter().chain(cells));
    }
    figures.tables.push(table);
    Ok(())
}

const ROWS: [&str; 5] = [
    "MiB of the file",
    "from the start of the command until it listens",
    "MiB of the process, then",
    "MiB of the process, after it was played",
    "messages a second, all connections together",
];

fn write_script(path: &Path, lines: usize, text: &str) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for number in 0..lines {
        writeln!(file, "{{\"ts\":0,\"text\":\"{}\"}}", text.replace("NUMBER", &number.to_string()))?;
    }
    Ok(file.flush()?)
}

/// The figures of [`ROWS`].
fn played(size: &Size, script: &Path) -> Result<[Vec<f64>; 5]> {
    let mut columns = [const { Vec::new() }; 5];
    for _ in 0..size.rounds {
        let started = Instant::now();
        let name = script.to_str().context("no name")?;
        let server = peers::mock(&["replay", name])?;
        let listens = started.elapsed().as_secs_f64();
        let loaded = server.resident_bytes()? as f64 / MIB;
        let started = Instant::now();
        let players: Vec<_> = (0..size.players)
            .map(|_| {
                let (address, lines) = (server.address, size.script_lines);
                std::thread::spawn(move || play(address, lines))
            })
            .collect();
        for player in players {
            player.join().map_err(|_| anyhow::anyhow!("a player failed"))??;
        }
        let rate = (size.script_lines * size.players) as f64 / started.elapsed().as_secs_f64();
        let file = std::fs::metadata(script)?.len() as f64 / MIB;
        let after = server.resident_bytes()? as f64 / MIB;
        eprintln!("replay: {listens:.2} s, {loaded:.1} MiB, then {after:.1} MiB, {rate:.0} a second");
        for (column, figure) in columns.iter_mut().zip([file, listens, loaded, after, rate]) {
            column.push(figure);
        }
    }
    Ok(columns)
}

/// Hears all of a script.
fn play(address: std::net::SocketAddr, lines: usize) -> Result<()> {
    let mut socket = Socket::connect(address, PATH, None)?;
    for _ in 0..lines {
        socket.receive()?;
    }
    Ok(())
}
