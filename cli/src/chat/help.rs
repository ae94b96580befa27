//! The keys and commands, for the person who asks.

/// Fits 78 columns.
pub(super) const ROWS: &[&str] = &[
    "Keys",
    "  Enter            send                  Alt-Enter Ctrl-J  a new line",
    "  Tab              next unread           Ctrl-N Ctrl-P     next, previous",
    "  PgUp PgDn Up Dn  scroll back           Esc               to the newest",
    "  F2 Ctrl-T        the list, where it has no room beside the messages",
    "  F1 ?             this help             Ctrl-L            draw again",
    "  Ctrl-C Ctrl-Q    quit",
    "The line",
    "  Home End Ctrl-A Ctrl-E  its ends       Ctrl-Left/Right Alt-B Alt-F  words",
    "  Ctrl-W Alt-D Ctrl-U Ctrl-K  kill a word, or to an end       Ctrl-Y  yank",
    "Commands",
    "  /to NAME[,NAME]  talk to somebody      /group NAME with NAME,NAME  make one",
    "  /add NAME        /remove NAME          /rename NEW NAME    /leave  /members",
    "  /accept [NAME]   /block [NAME]         /forget NAME takes a relation back",
    "  /online /away /hidden  what others see of you",
    "  //text           a message that begins with a slash        /help  /quit",
    "Marks",
    "  · waits   ✓ the server has it   ✓✓ everybody's device   ✔✔ read   ! not sent",
    "  ● online   ◐ away   ○ offline   (in ASCII: . v vv VV ! and * - o)",
    "Times are UTC. What is on the screen counts as read; the rest stays unread.",
    "Any other key closes this.",
];
