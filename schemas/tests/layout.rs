//! The byte rulers in `LAYOUT.txt` are the layouts that the compiler made.

#[test]
fn the_picture_is_the_code() {
    let written = include_str!("../LAYOUT.txt");
    assert_eq!(
        written,
        rsw_schemas::dump(),
        "a change of a layout is a change of the ABI; `cargo xtask layout > schemas/LAYOUT.txt`"
    );
}

#[test]
fn the_hash_sees_every_field() {
    let names: Vec<&str> = rsw_schemas::STRUCTS.iter().map(|map| map.name).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    for map in rsw_schemas::STRUCTS {
        let bytes: usize = map.fields.iter().map(|field| field.size_bytes).sum();
        assert_eq!(bytes, map.size_bytes, "{} has a hole", map.name);
    }
}
