//! What `ps` and `counters` say of the ring's readers: what each reports, and no more than that.

use rsw_attach::{Attached, Client, MailboxWord};
use rsw_os::clock::mono_ns;
use rsw_tests::{PATIENCE, Place, number, wait_until};
use serde_json::Value as Json;

/// A swarm that writes little, so that a test has time to look.
fn place() -> Place {
    let place = Place::new();
    place.up(&["--set", "field.size=48,48", "--set", "agent.watcher.replicas=1"]);
    place
}

fn attach(place: &Place, name: &str) -> (Client, Attached) {
    let socket = place.json(&["ps"])["socket"].as_str().expect("a socket").to_owned();
    let mut client = Client::connect(socket.as_ref()).expect("the gateway");
    client.hello(name, 0).expect("hello");
    let attached = client.welcome(PATIENCE).expect("welcome");
    wait_until("ps shows it", || find(&place.json(&["ps"])["processes"], name).is_some());
    (client, attached)
}

fn find(rows: &Json, name: &str) -> Option<Json> {
    rows.as_array()?.iter().find(|row| row["name"] == name).cloned()
}

/// The row of that reader in `counters`.
fn reader(place: &Place, name: &str) -> Json {
    let counters = place.json(&["counters", "--over", "0"]);
    find(&counters["readers"], name).unwrap_or_else(|| panic!("{name} in {counters}"))
}

#[test]
fn rates_come_from_outside_and_of_everybody() {
    let place = place();
    wait_until("the ring has a rate", || {
        place.json(&["ps"])["ring"]["events_per_s"].as_f64().is_some_and(|rate| rate > 0.0)
    });
    for name in ["kernel", "recorder", "watcher"] {
        wait_until(name, || {
            place.process(name)["events_per_s"].as_f64().is_some_and(|rate| rate > 0.0)
        });
    }
    assert!(place.process("gateway")["events_per_s"].is_null());
    assert!(place.json(&["status"])["events_per_s"].is_number());

    let counters = place.json(&["counters"]);
    let rows = counters["counters"].as_array().expect("counters");
    let counter = |name: &str| rows.iter().find(|row| row["name"] == name).expect("it").clone();
    assert!(counters["over_ms"].as_u64() >= Some(250), "{counters}");
    assert!(counter("published")["per_s"].as_f64() > Some(0.0), "{counters}");
    assert_eq!(counter("diverged")["per_s"], 0.0);
    assert_eq!(counters["state"], "live");
    let at_once = place.json(&["counters", "--over", "0"]);
    assert!(at_once["counters"][0]["per_s"].is_null(), "{at_once}");
    let ill = place.run(&["counters", "--over", "-1", "--json"]);
    assert_eq!(ill.code, 2, "{}", ill.stderr);

    let text = place.ok(&["counters", "--over", "0.1"]).stdout;
    for word in ["A SECOND", "READER", "MISSED LOANS", "recorder", "watcher"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    assert!(place.ok(&["ps"]).stdout.contains("EVENTS/S"));
}

#[test]
fn who_is_silent_has_no_numbers_and_is_not_watched() {
    let place = place();
    let (_client, attached) = attach(&place, "silent");
    let row = place.process("silent");
    assert_eq!((row["state"].as_str(), row["watched"].as_bool()), (Some("attached"), Some(false)));
    for key in ["cursor", "lag_events", "lost_events", "received_events", "beat_age_ms"] {
        assert!(row.get(key).is_some_and(Json::is_null), "{key}: a number nobody reported: {row}");
    }
    assert!(place.ok(&["ps"]).stdout.contains("none, unwatched"));
    for name in ["kernel", "gateway", "recorder", "watcher"] {
        let row = place.process(name);
        assert_eq!(row["watched"], true, "{row}");
        assert!(row["beat_age_ms"].is_u64(), "{row}");
    }

    // The same one begins to report: every number is its own word, also where it is a lie.
    let mailbox = attached.mailbox.expect("a page");
    for (word, value) in [
        (MailboxWord::Generation, 1),
        (MailboxWord::Cursor, 3),
        (MailboxWord::ReceivedEvents, 2),
        (MailboxWord::LostEvents, 1),
        (MailboxWord::MissedLoans, 7),
        (MailboxWord::HeartbeatMonoNs, mono_ns()),
    ] {
        mailbox.store(word, value);
    }
    let row = reader(&place, "silent");
    assert_eq!((row["cursor"].as_str(), row["received_events"].as_u64()), (Some("3"), Some(2)));
    assert_eq!((row["lost_events"].as_u64(), row["missed_loans"].as_u64()), (Some(1), Some(7)));
    let published = number(&place.json(&["ps"])["ring"]["published"]);
    let lag = row["lag_events"].as_u64().expect("a lag");
    assert!(0 < lag && lag + 3 <= published, "{lag} of {published}");
    assert_eq!(place.process("silent")["watched"], false, "it is still not ours to end");
}

#[test]
fn what_each_reader_reports_adds_up() {
    let place = place();
    wait_until("some events are read", || {
        reader(&place, "watcher")["received_events"].as_u64() > Some(100)
    });
    for _ in 0..20 {
        let counters = place.json(&["counters", "--over", "0"]);
        let published = number(&place.json(&["status"])["published"]);
        for name in ["recorder", "watcher"] {
            let row = find(&counters["readers"], name).expect("a row");
            let word = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("{key} in {row}"));
            assert!(number(&row["cursor"]) <= published, "{row} of {published}");
            assert!(word("received_events") + word("lost_events") <= published, "{row}");
            assert_eq!(word("lost_events"), 0, "{row}");
        }
    }
}
