//! Builds the demo into the `rejoin` command: the files of `www/dist`, or of the folder that `REJOIN_WWW_DIST` names, if there are any.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Content types by the ends of names.
const TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=REJOIN_WWW_DIST");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut files = Vec::new();
    if let Some(dist) = dist()? {
        println!("cargo::rerun-if-changed={}", dist.display());
        collect(&dist, "", &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (number, (path, file)) in files.iter().enumerate() {
        let body = fs::read(file)?;
        let packed = gzip(&body)?;
        fs::write(out.join(format!("page-{number}")), &body)?;
        // Pictures and fonts are packed as they are.
        let packed = match packed.len() < body.len() {
            true => {
                fs::write(out.join(format!("page-{number}.gz")), &packed)?;
                format!("Some({})", include(&format!("page-{number}.gz")))
            }
            false => "None".to_owned(),
        };
        writeln!(
            table,
            "    Page {{ path: {path:?}, content_type: {:?}, digest: {:?}, body: {}, gzip: {packed} }},",
            content_type(path),
            digest(&body),
            include(&format!("page-{number}")),
        )?;
    }
    table.push(']');
    fs::write(out.join("pages.rs"), table)?;
    Ok(())
}

/// Where the files are.
fn dist() -> Result<Option<PathBuf>, Box<dyn Error>> {
    if let Some(named) = std::env::var_os("REJOIN_WWW_DIST") {
        let named = PathBuf::from(named);
        if !named.join("index.html").is_file() {
            return Err(format!("REJOIN_WWW_DIST names {}, which has no index.html", named.display()).into());
        }
        return Ok(Some(named));
    }
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("..");
    // The crate as it is published stands in a folder of others.
    if !root.join("wasm-pack.toml").is_file() {
        return Ok(None);
    }
    let www = root.join("www");
    let dist = www.join("dist");
    if dist.join("index.html").is_file() {
        return Ok(Some(dist));
    }
    // What is watched and is not there would have this crate built each time.
    if www.is_dir() {
        println!("cargo::rerun-if-changed={}", www.display());
    }
    Ok(None)
}

/// The files below the folder, each with the path that it is asked for by.
fn collect(folder: &Path, below: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is no text"))?;
        if !name.chars().all(|it| it.is_ascii_alphanumeric() || "._-".contains(it)) {
            return Err(format!("a page cannot be named {name}: use letters, digits, dots and dashes").into());
        }
        let path = format!("{below}/{name}");
        match entry.file_type()?.is_dir() {
            true => collect(&entry.path(), &path, files)?,
            false => files.push((path, entry.path())),
        }
    }
    Ok(())
}

fn include(name: &str) -> String {
    format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))")
}

fn content_type(path: &str) -> &'static str {
    let end = path.rsplit('.').next().unwrap_or_default();
    TYPES.iter().find(|(known, _)| *known == end).map_or("application/octet-stream", |(_, name)| name)
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
