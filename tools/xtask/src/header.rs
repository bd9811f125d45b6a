//! The C headers, made from the sources: `rsw.h` from the C library's functions by cbindgen, `rsw_layout.h` and
//! `rsw_wire.h` from the layouts of `rsw-schemas`. `--check` compares instead of writing.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cbindgen::{
    Builder, Config, DocumentationLength, DocumentationStyle, ItemType, Language, Style,
};
use rsw_schemas::control::KernelState;
use rsw_schemas::event::EventKind;
use rsw_schemas::header::{HEADER_BYTES, MAGIC, REGION_ALIGN_BYTES, REGIONS_MAX, RegionKind};
use rsw_schemas::layout::StructMap;
use rsw_schemas::wire::{PACKET_BYTES_MAX, PACKET_MAGIC, PacketKind, RefusalCode, hello_flag};
use rsw_schemas::{ABI_MAJOR, ABI_MINOR};

const CAPI: &str = "runtime/capi";

/// Made files, with what they must contain.
fn made(root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let folder = root.join(CAPI).join("include/rsw");
    Ok(vec![
        (folder.join("rsw.h"), functions(root)?),
        (folder.join("rsw_layout.h"), layouts()),
        (folder.join("rsw_wire.h"), wire()),
    ])
}

/// Writes the headers.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    for (path, text) in made(root)? {
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// What of the committed headers is not what the code has.
pub(crate) fn check(root: &Path) -> Vec<String> {
    match made(root) {
        Err(error) => vec![error],
        Ok(files) => files
            .into_iter()
            .filter(|(path, text)| std::fs::read_to_string(path).ok().as_ref() != Some(text))
            .map(|(path, _)| {
                let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                format!("{name} is not what the code has; `cargo xtask header` writes it")
            })
            .collect(),
    }
}

/// The order in which a reader meets things.
const SOURCES: [&str; 12] = [
    "status", "abi", "swarm", "board", "ring", "wake", "sync", "report", "field", "dlpack",
    "batch", "counter",
];

fn functions(root: &Path) -> Result<String, String> {
    let sources = root.join(CAPI).join("src");
    let mut builder = Builder::new().with_config(config());
    let mut asserts = String::new();
    for name in SOURCES {
        let path = sources.join(name).with_extension("rs");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        asserts.push_str(&asserts_of(&text));
        builder = builder.with_src(path);
    }
    let bindings = builder.generate().map_err(|error| format!("rsw.h: {error}"))?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    // Arrow's structs go by their tags, as their own headers have them; cbindgen knows them by their names only.
    let own = text.find(PREAMBLE_END).ok_or("rsw.h lacks Arrow's interfaces")?;
    let mut declared = text.split_off(own);
    for name in ["ArrowSchema", "ArrowArrayStream", "ArrowArray"] {
        declared = declared.replace(&format!(" {name} *"), &format!(" struct {name} *"));
    }
    text.push_str(&declared);
    let end = text.find("#endif  /* RSW_H */").ok_or("rsw.h has no end of its guard")?;
    text.insert_str(end, &format!("{asserts}\n"));
    text.insert_str(end, ASSERT_HEAD);
    Ok(text)
}

fn config() -> Config {
    let mut config = Config {
        language: Language::C,
        style: Style::Both,
        cpp_compat: true,
        include_guard: Some("RSW_H".into()),
        header: Some(HEADER.trim_end().into()),
        after_includes: Some(
            PREAMBLE.replace("@HASH@", &format!("UINT64_C(0x{:016x})", rsw_schemas::LAYOUT_HASH)),
        ),
        no_includes: true,
        sys_includes: ["stddef.h", "stdint.h"].map(String::from).to_vec(),
        usize_is_size_t: true,
        documentation_style: DocumentationStyle::C99,
        documentation_length: DocumentationLength::Full,
        line_length: 120,
        tab_width: 4,
        ..Config::default()
    };
    config.export.exclude =
        ["ArrowSchema", "ArrowArray", "ArrowArrayStream"].map(String::from).to_vec();
    config.export.item_types = vec![
        ItemType::Constants,
        ItemType::Structs,
        ItemType::Unions,
        ItemType::OpaqueItems,
        ItemType::Functions,
    ];
    config.function.sort_by = Some(cbindgen::SortKey::None);
    config
}

/// The numbers of every `abi!` block, which the Rust compiler has checked, for the C compiler to check.
fn asserts_of(source: &str) -> String {
    let mut out = String::new();
    for block in source.split("\nabi!(").skip(1) {
        let Some((head, rest)) = block.split_once('{') else { continue };
        let Some((fields, _)) = rest.split_once('}') else { continue };
        let Some((name, size)) = head.split_once(':') else { continue };
        let _ = writeln!(
            out,
            "RSW_STATIC_ASSERT(sizeof(struct {name}) == {}, \"{name}\");",
            size.trim()
        );
        for (field, offset) in fields.split(',').filter_map(|field| field.split_once(':')) {
            let (field, offset) = (field.trim(), offset.trim());
            let _ = writeln!(
                out,
                "RSW_STATIC_ASSERT(offsetof(struct {name}, {field}) == {offset}, \"{name}.{field}\");"
            );
        }
    }
    out
}

const HEADER: &str = "\
/* rsw.h: attach an agent to a running swarm, in C11 or C++17.
 *
 * Made by `cargo xtask header` from runtime/capi/src; do not edit.
 *
 * Every function that answers int32_t answers a status: RSW_OK, something informative above zero, or an error below;
 * rsw_last_error has the words. Handles are opaque and checked at each call: NULL, a closed one, or one of another kind
 * is an error. A handle is used by one thread at a time (RSW_E_BUSY if another one is inside); different handles are
 * independent, and rsw_dup makes another one for another thread. Nothing starts a thread, installs a signal handler or
 * calls back. After fork() the child connects itself.
 *
 * Structs that begin with struct_size may grow: set it to the sizeof, as the RSW_*_INIT macros do.
 */
";

const PREAMBLE: &str = r#"
#include "rsw_layout.h"

/* Hash of every layout of the plane that this header was made with; see rsw_layout_hash. */
#define RSW_LAYOUT_HASH @HASH@

/* For every struct with struct_size: `struct rsw_options options = RSW_INIT(struct rsw_options);` */
#ifdef __cplusplus
#define RSW_INIT(type) {(uint32_t)sizeof(type)}
#else
#define RSW_INIT(type) {.struct_size = (uint32_t)sizeof(type)}
#endif
#define RSW_OPTIONS_INIT RSW_INIT(struct rsw_options)

/* The Arrow C data and stream interfaces, as their specification has them; one definition for all who include it. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif /* ARROW_C_STREAM_INTERFACE */
"#;

/// Last line of the above.
const PREAMBLE_END: &str = "#endif /* ARROW_C_STREAM_INTERFACE */";

const ASSERT_HEAD: &str = "\
/* What the library was compiled with. */
";

/// What a client and the gateway say to each other.
const CLIENT_PACKETS: [&str; 6] =
    ["Packet", "Hello", "Welcome", "Refused", "PlaneChanged", "AgentReport"];

/// Pages, and what processes of one swarm say among themselves: nobody else's business.
const INTERNAL: [&str; 8] = [
    "MailboxPage",
    "RecorderPage",
    "KernelReady",
    "ProcessText",
    "TickMark",
    "AgentSeat",
    "GenerationNote",
    "Admitted",
];

fn layouts() -> String {
    let mut out = String::from(LAYOUT_HEAD);
    for kind in EventKind::ALL {
        let name = kind.name();
        let upper = name.to_uppercase();
        let _ = writeln!(out, "#define RSW_EVENT_{upper} {}", kind as u16);
    }
    out.push_str("\n/* Version of planes and packets. */\n");
    let _ = writeln!(out, "#define RSW_ABI_MAJOR {ABI_MAJOR}\n#define RSW_ABI_MINOR {ABI_MINOR}");
    out.push_str("\n/* The first bytes of a plane, and how its header and its regions lie. */\n");
    let _ = writeln!(out, "#define RSW_PLANE_MAGIC \"{}\"", MAGIC.escape_ascii());
    let _ = writeln!(out, "#define RSW_PLANE_HEADER_BYTES {HEADER_BYTES}");
    let _ = writeln!(out, "#define RSW_REGION_ALIGN_BYTES {REGION_ALIGN_BYTES}");
    let _ = writeln!(out, "#define RSW_REGIONS_MAX {REGIONS_MAX}");
    out.push_str("\n/* Kinds of regions. */\n");
    numbers(&mut out, "REGION", RegionKind::ALL.map(|kind| (kind, kind as u32)));
    out.push_str("\n/* What the kernel says in the state word of its control lines. */\n");
    let states = (1..).map_while(|word| Some((KernelState::from_word(word)?, word as u32)));
    numbers(&mut out, "KERNEL", states);
    out.push('\n');
    let hidden =
        |map: &StructMap| CLIENT_PACKETS.contains(&map.name) || INTERNAL.contains(&map.name);
    structs(&mut out, |map| !hidden(map));
    out.push_str("\n#endif /* RSW_LAYOUT_H */\n");
    out
}

fn wire() -> String {
    let mut out = String::from(WIRE_HEAD);
    let _ = writeln!(out, "#define RSW_PACKET_MAGIC UINT32_C({PACKET_MAGIC:#x})");
    let _ = writeln!(out, "#define RSW_PACKET_BYTES_MAX {PACKET_BYTES_MAX}");
    out.push_str("\n/* What a packet says; its body is the struct of that name. */\n");
    // The numbers of the client's packets come first, without a gap; those among ourselves begin at 16.
    let kinds = (1..).map_while(|number| Some((PacketKind::from_u32(number)?, number)));
    numbers(&mut out, "PACKET", kinds);
    out.push_str("\n/* Flags of a hello. */\n");
    let _ = writeln!(out, "#define RSW_HELLO_OBSERVER {}", hello_flag::OBSERVER);
    let _ = writeln!(out, "#define RSW_HELLO_WAKE_FD {}", hello_flag::WAKE_FD);
    out.push_str("\n/* Why a client is refused. */\n");
    let codes = [
        RefusalCode::Layout,
        RefusalCode::Protocol,
        RefusalCode::Full,
        RefusalCode::Permission,
        RefusalCode::NotRunning,
    ];
    numbers(&mut out, "REFUSED", codes.map(|code| (code, code as u32)));
    out.push('\n');
    structs(&mut out, |map| CLIENT_PACKETS.contains(&map.name));
    out.push_str("\n#endif /* RSW_WIRE_H */\n");
    out
}

/// One line for each variant of an enum, by the name that Rust has for it.
fn numbers<T: std::fmt::Debug>(
    out: &mut String,
    prefix: &str,
    variants: impl IntoIterator<Item = (T, u32)>,
) {
    for (variant, number) in variants {
        let upper = c_name(&format!("{variant:?}")).trim_start_matches("rsw_").to_uppercase();
        let _ = writeln!(out, "#define RSW_{prefix}_{upper} {number}");
    }
}

/// The structs of those layouts, and behind them what the compiler has to agree with.
fn structs(out: &mut String, wanted: impl Fn(&StructMap) -> bool) {
    let mut asserts = String::new();
    let maps: Vec<&StructMap> = rsw_schemas::STRUCTS.iter().filter(|map| wanted(map)).collect();
    // C wants the inner struct before the outer one; the list has readers in mind.
    let mut done: Vec<&str> = Vec::new();
    while done.len() < maps.len() {
        let ready = |map: &&&StructMap| {
            !done.contains(&map.name)
                && map.fields.iter().all(|field| {
                    let inner = element(field.type_name);
                    !maps.iter().any(|other| other.name == inner) || done.contains(&inner)
                })
        };
        let Some(map) = maps.iter().find(ready) else { break };
        done.push(map.name);
        one_struct(out, &mut asserts, map);
    }
    out.push_str("/* What Rust has. */\n");
    out.push_str(&asserts);
}

fn one_struct(out: &mut String, asserts: &mut String, map: &StructMap) {
    let name = c_name(map.name);
    comment(out, "", map.meaning);
    let _ = writeln!(out, "struct {name} {{");
    for field in map.fields {
        comment(out, "    ", field.meaning);
        let inner = element(field.type_name);
        let (c_type, element_bytes) = c_type(inner, field.name);
        let is_array = field.type_name.starts_with('[');
        let count =
            field.size_bytes / element_bytes.unwrap_or_else(|| size_of_struct(inner)).max(1);
        let suffix = if is_array { format!("[{count}]") } else { String::new() };
        let _ = writeln!(out, "    {c_type} {}{suffix};", field.name);
        let _ = writeln!(
            asserts,
            "RSW_STATIC_ASSERT(offsetof(struct {name}, {}) == {}, \"{name}.{}\");",
            field.name, field.offset_bytes, field.name
        );
    }
    out.push_str("};\n\n");
    let _ = writeln!(
        asserts,
        "RSW_STATIC_ASSERT(sizeof(struct {name}) == {}, \"{name}\");",
        map.size_bytes
    );
}

/// The element type of a Rust array, or the type itself, without its path.
fn element(type_name: &str) -> &str {
    let inner = type_name.trim_start_matches('[').split(';').next().unwrap_or_default();
    inner.trim_end_matches(']').rsplit("::").next().unwrap_or_default().trim()
}

fn size_of_struct(name: &str) -> usize {
    let map = rsw_schemas::STRUCTS.iter().find(|map| map.name == name);
    map.map_or(1, |map| map.size_bytes)
}

/// The C type, and its bytes if it is a plain one. Bytes are text but where the field's name says otherwise.
fn c_type(rust: &str, field: &str) -> (String, Option<usize>) {
    let plain = |name: &str, bytes| (name.to_owned(), Some(bytes));
    match rust {
        "u8" if ["payload", "run_id", "boot_id", "magic"].contains(&field) => plain("uint8_t", 1),
        "u8" => plain("char", 1),
        "u16" => plain("uint16_t", 2),
        "u32" => plain("uint32_t", 4),
        "i32" => plain("int32_t", 4),
        "u64" => plain("uint64_t", 8),
        "i64" => plain("int64_t", 8),
        "f32" => plain("float", 4),
        "f64" => plain("double", 8),
        inner => (format!("struct {}", c_name(inner)), None),
    }
}

fn c_name(rust: &str) -> String {
    let mut name = String::from("rsw");
    for letter in rust.chars() {
        if letter.is_uppercase() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// A Rust comment as a C one: links to other items become their bare names.
fn comment(out: &mut String, indent: &str, meaning: &str) {
    let text =
        meaning.trim().replace("crate::", "").replace("[`", "").replace("`]", "").replace('`', "");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    if lines.is_empty() {
        return;
    }
    let joined = lines.join(&format!("\n{indent} * "));
    let _ = writeln!(out, "{indent}/* {} */", joined.replace("* \n", "*\n"));
}

const LAYOUT_HEAD: &str = "\
/* rsw_layout.h: every byte of the plane and of its events, and what it means.
 *
 * Made by `cargo xtask header` from schemas/src; do not edit. Byte order is the machine's.
 */
#ifndef RSW_LAYOUT_H
#define RSW_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define RSW_STATIC_ASSERT(condition, words) static_assert(condition, words)
#else
#define RSW_STATIC_ASSERT(condition, words) _Static_assert(condition, words)
#endif

/* Kinds of events; the payload is the struct of that name (of joined and left: rsw_presence). */
";

const WIRE_HEAD: &str = "\
/* rsw_wire.h: what a client and the gateway of a swarm say to each other.
 *
 * Made by `cargo xtask header` from schemas/src; do not edit. Byte order is the machine's.
 *
 * Packets go over a SOCK_SEQPACKET socket of the Unix domain: swarm.sock in the swarm's run directory (`runtime ps
 * --json` names it), or the connected one that a launched agent inherits and RSW_SOCKET_FD names. A packet is one
 * message: struct rsw_packet, then the body that its kind names, with exactly len_bytes; descriptors come beside it
 * (SCM_RIGHTS). Whoever receives one checks magic, kind, length and the number of descriptors, and believes none that
 * is wrong.
 *
 *   hello          client to gateway   within 5 s; from an inherited socket also after the gateway was restarted
 *   welcome        gateway to client   plane; mailbox unless agent_id is 0; eventfd if wake_fd is 1: in this order
 *   refused        gateway to client   in the place of a welcome; then the socket closes
 *   plane_changed  gateway to client   plane; the kernel was restarted: any number of times
 *   welcome        gateway to client   again, on an inherited socket: the gateway was restarted, and all of it is new
 *   agent_report   client to gateway   any time after the welcome, at most 64 a second; not from an observer
 *
 * The end of the socket means that the gateway is gone: who came by the public one connects again, after a second; for
 * who inherited one, the swarm has ended. The gateway admits its own user alone (SO_PEERCRED), and 64 newcomers a
 * second. A plane is a sealed memory file; the client checks seals, size, magic, layout hash, checksum and every region
 * before it reads.
 *
 * Version: abi_major and layout_hash of the hello. Where either is not the gateway's, it answers refused with
 * RSW_REFUSED_LAYOUT and both of its own. The hash covers every struct here and in rsw_layout.h: names, sizes, and the
 * place of each field. A change of what is said when, or of a number below, raises abi_major; abi_minor counts
 * additions that older clients do not notice.
 */
#ifndef RSW_WIRE_H
#define RSW_WIRE_H

#include \"rsw_layout.h\"

/* First word of every packet, and the size that none exceeds. */
";
