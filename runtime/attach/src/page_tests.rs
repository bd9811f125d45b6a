//! Pages between two mappings of one file, and files that are no pages.

use rsw_os::memfd::probe_read_only;

use super::*;

#[test]
fn mailbox_flows_from_the_agent_to_its_readers() {
    let file = create_for_peer("mailbox").unwrap();
    let reader = MailboxReader::from_fd(file.try_clone().unwrap()).unwrap();
    let mailbox = Mailbox::from_fd(file).unwrap();
    mailbox.store(MailboxWord::HeartbeatMonoNs, 1);
    mailbox.store(MailboxWord::CsBits, 0.5f64.to_bits());
    assert_eq!(reader.load(MailboxWord::HeartbeatMonoNs), 1);
    let page = reader.snapshot();
    assert_eq!(f64::from_bits(page.cs_bits), 0.5);
    assert_eq!((page.heartbeat_mono_ns, page.cursor), (1, 0));
    assert_eq!(mailbox.load(MailboxWord::CsBits), page.cs_bits);
}

#[test]
fn every_word_has_its_own_place() {
    use RecorderWord as W;
    let words = [W::HeartbeatMonoNs, W::Drained, W::Durable, W::Recorded, W::Lost, W::Generation];
    let (writer, file) = RecorderPageWriter::create("recorder").unwrap();
    let reader = RecorderPageReader::from_fd(file).unwrap();
    for (value, word) in (1..).zip(words.into_iter().chain([W::Trouble, W::Spooled])) {
        writer.store(word, value);
    }
    let page = reader.snapshot();
    assert_eq!((page.heartbeat_mono_ns, page.drained, page.durable), (1, 2, 3));
    assert_eq!((page.recorded, page.lost, page.generation), (4, 5, 6));
    assert_eq!((page.trouble, page.spooled, page.reserved), (7, 8, [0; 8]));
}

#[test]
fn nobody_else_can_write_the_recorders_page() {
    let (_writer, file) = RecorderPageWriter::create("recorder").unwrap();
    probe_read_only(&file).unwrap();
    assert!(matches!(RecorderPageWriter::from_fd(file), Err(PageError::Map { .. })));
}

#[test]
fn a_file_that_is_no_page_is_refused() {
    let unsealed = memfd::create("unsealed", PAGE_BYTES as u64).unwrap();
    assert!(matches!(MailboxReader::from_fd(unsealed), Err(PageError::Seals)));
    for size_bytes in [0, 1, PAGE_BYTES as u64 - 1, PAGE_BYTES as u64 + 1] {
        let odd = memfd::create("odd", size_bytes).unwrap();
        memfd::seal_size(&odd).unwrap();
        let again = odd.try_clone().unwrap();
        assert!(
            matches!(Mailbox::from_fd(again), Err(PageError::Size { found }) if found == size_bytes)
        );
        assert!(matches!(MailboxReader::from_fd(odd), Err(PageError::Size { .. })));
    }
    let (socket, _peer) = rsw_os::packet::pair().unwrap();
    assert!(matches!(MailboxReader::from_fd(socket), Err(PageError::Os(_))));
}
