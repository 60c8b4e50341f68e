"""The guest's disk with language runtimes that translate while they run: Debian 12's OpenJDK and Node.js. Fetched when first asked for."""
import os, struct
from . import debian_disk
from .debian_disk import Failed  # noqa: F401

PACKAGES = ["openjdk-17-jre-headless", "nodejs"]
JAVA = "/usr/lib/jvm/java-17-openjdk-arm64/bin/java"
# One collector, whatever number of CPUs the machine has.
SCRIPTS = {
    "java": f"{JAVA} -XX:+UseSerialGC -cp /w Hello",
    "javac": f"{JAVA} -XX:+UseSerialGC /w/Words.java",
    "node": "node -e 'console.log(\"hello\")'",
    "nodework": "node /w/words.js",
}
# Both print how often each of some words comes, by length.
WORDS_JAVA = """import java.util.*;

public class Words {
    record Word(String text, int times) {}

    public static void main(String[] args) {
        var counts = new TreeMap<String, Integer>();
        long state = 1;
        for (int n = 0; n < 20000; ++n) {
            state = state * 6364136223846793005L + 1442695040888963407L;
            counts.merge(Long.toString(state >>> 52, 36), 1, Integer::sum);
        }
        var words = new ArrayList<Word>();
        counts.forEach((text, times) -> words.add(new Word(text, times)));
        words.sort(Comparator.comparingInt(Word::times).reversed().thenComparing(Word::text));
        for (Word w : words.subList(0, 10)) System.out.println(w.text() + " " + w.times());
    }
}
"""
WORDS_JS = """const counts = new Map();
let state = 1n;
for (let n = 0; n < 20000; ++n) {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
    const word = (state >> 52n).toString(36);
    counts.set(word, (counts.get(word) || 0) + 1);
}
const words = JSON.parse(JSON.stringify([...counts])).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
for (const [text, times] of words.slice(0, 10)) console.log(text, times);
"""


def hello_class():
    """Hello.class (JVM specification, chapter 4), whose main() prints a word: there is no Java compiler on most hosts."""
    def utf8(text):
        return struct.pack(">BH", 1, len(text)) + text.encode()

    def constant(tag, *indices):
        return struct.pack(f">B{len(indices)}H", tag, *indices)

    pool = [constant(7, 2), utf8("Hello"), constant(7, 4), utf8("java/lang/Object"), utf8("main"), utf8("([Ljava/lang/String;)V"), utf8("Code"),
            constant(9, 9, 11), constant(7, 10), utf8("java/lang/System"), constant(12, 12, 13), utf8("out"), utf8("Ljava/io/PrintStream;"),
            constant(8, 15), utf8("hello"),
            constant(10, 17, 19), constant(7, 18), utf8("java/io/PrintStream"), constant(12, 20, 21), utf8("println"), utf8("(Ljava/lang/String;)V")]
    code = bytes([0xb2, 0, 8, 0x12, 14, 0xb6, 0, 16, 0xb1])  # getstatic out; ldc; invokevirtual println; return
    body = struct.pack(">HHI", 2, 1, len(code)) + code + struct.pack(">HH", 0, 0)
    method = struct.pack(">HHHHHI", 9, 5, 6, 1, 7, len(body)) + body
    return (struct.pack(">IHHH", 0xcafebabe, 0, 52, len(pool) + 1) + b"".join(pool) + struct.pack(">HHHHHH", 0x21, 1, 3, 0, 0, 1) + method
            + struct.pack(">H", 0))


def build(root):
    # Node has modules of its own in /usr/share.
    debian_disk.unpack(root, PACKAGES, None, ["usr/share/doc/*", "usr/share/locale/*", "usr/share/man/*", "usr/lib/*/perl*", "var/*"])
    with open(f"{root}/w/Hello.class", "wb") as f:
        f.write(hello_class())
    for name, text in (("Words.java", WORDS_JAVA), ("words.js", WORDS_JS)):
        with open(f"{root}/w/{name}", "w") as f:
            f.write(text)
    debian_disk.write_scripts(root, SCRIPTS)


def prepare(guest):
    """A directory with the disk beside the sweep guest's kernel and initramfs. Raises Failed."""
    return debian_disk.prepare("runtimes", guest, [os.path.realpath(__file__)], build, "800M")
