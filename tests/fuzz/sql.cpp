// The reading of SQL. Every token lies in the text, and the lexer comes to its end.
#include "protocol/sql_words.hpp"
#include "tests/fuzz/input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace turnout;
    fuzz::Input input(data, size);
    const std::uint8_t choice = input.byte();
    const std::string_view text = input.rest();
    const bool conforming = (choice & 1) == 0;
    protocol::SqlLexer lexer(text, conforming);
    std::size_t tokens = 0;
    const char* behind = text.data();
    while (lexer.next() != protocol::SqlToken::end) {
        const std::string_view raw = lexer.raw();
        fuzz::must(!raw.empty() && raw.data() >= behind && raw.data() + raw.size() <= text.data() + text.size());
        behind = raw.data() + raw.size();
        (void)lexer.lower();
        fuzz::must(++tokens <= text.size());
    }
    const auto reading =
        protocol::what_it_may_change(text, {.whole = (choice & 2) == 0, .standard_conforming_strings = conforming});
    fuzz::must(reading.commands <= text.size());
    (void)protocol::first_word(text);
    (void)protocol::what_tag_tells(text);
    return 0;
}
