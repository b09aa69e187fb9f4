// A conversation, both directions at once, with replies that no server would send among them. Pieces: the first byte of
// each says who speaks; what follows are messages.
#include "protocol/framing.hpp"
#include "protocol/session_changes.hpp"
#include "protocol/session_ledger.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace turnout;
using protocol::Frame;
using protocol::FrameState;

class Conversation {
  public:
    void say(bool client, std::string_view bytes) {
        protocol::FrameScanner& scanner = client ? from_client_ : from_server_;
        while (!bytes.empty()) {
            const Frame frame = scanner.next(bytes);
            if (frame.size == 0) return;  // the rest of an incomplete message is lost, as if the piece ended here
            if (frame.starts() && client) {
                changes_.on_frontend(static_cast<protocol::FrontendType>(frame.type), frame.body,
                                     frame.state == FrameState::whole);
                ledger_.on_frontend(frame);
            } else if (frame.starts()) {
                ledger_.on_backend(frame);
            }
            check();
            bytes.remove_prefix(frame.size);
        }
    }

    void probe() {
        if (!ledger_.replies().can_probe()) return;
        ledger_.replies().begin_probe();
        check();
    }

    /// As a session that is armed and moved does.
    void move() {
        protocol::StatementBook& book = ledger_.statements();
        (void)book.since(0);
        (void)book.since(book.remember());
        if (ledger_.replies().safe()) ledger_.replies().reset();
        check();
    }

  private:
    void check() const {
        const protocol::ReplyLedger& replies = ledger_.replies();
        if (replies.safe()) {
            fuzz::must(replies.quiet() && replies.status() == protocol::TransactionStatus::idle);
            fuzz::must(!replies.batch_open() && !replies.skipping());
        }
        if (replies.quiet()) {
            fuzz::must(replies.ready_owed() == 0 && !replies.unsure() && !replies.derailed());
            fuzz::must(replies.copy() == protocol::CopyState::none);
        }
        if (replies.can_probe()) fuzz::must(replies.unsure() && !replies.batch_open());
        const protocol::StatementBook& book = ledger_.statements();
        fuzz::must(book.bytes() <= protocol::StatementBook::default_total_limit);
        fuzz::must(book.pending_bytes() <= protocol::StatementBook::default_total_limit);
    }

    protocol::FrameScanner from_client_{protocol::Stream::frontend};
    protocol::FrameScanner from_server_{protocol::Stream::backend};
    protocol::SessionLedger ledger_;
    protocol::SessionChanges changes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    Conversation conversation;
    while (!input.empty()) {
        switch (input.byte() % 4) {
            case 0: conversation.say(true, input.piece()); break;
            case 1: conversation.say(false, input.piece()); break;
            case 2: conversation.probe(); break;
            default: conversation.move(); break;
        }
    }
    return 0;
}
