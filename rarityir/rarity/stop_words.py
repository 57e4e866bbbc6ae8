"""English stop words: the closed classes of English grammar, written down for this package from a grammar's own lists.

Only whole words are here. The pieces that a tokenizer cuts contractions into (`s`, `t`, `ll`, `re`, `ve`, `m`, `d`, `don`)
are none, because they also end other words.
"""

from __future__ import annotations

_CLASSES = {
    "articles and determiners": """
        a an the this that these those each every either neither some any no all both half several such another other
        what which whatever whichever few more most many much own same""",
    "pronouns": """
        i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself
        we us our ours ourselves they them their theirs themselves who whom whose whoever one someone anyone everyone
        nobody something anything everything nothing""",
    "auxiliary verbs": """
        am is are was were be been being do does did doing done have has had having can could shall should will would
        may might must ought cannot""",
    "prepositions": """
        about above across after against along among around at before behind below beneath beside between beyond by
        down during except for from in inside into near of off on onto out outside over past since through throughout
        till to toward towards under until unto up upon via with within without""",
    "conjunctions": """
        and or nor but yet so if because as although though unless while whereas whether than""",
    "adverbs of no topic": """
        not never ever very too also just only even still again once here there then thus hence therefore however
        when where why how now already always often rather quite almost else further""",
    "contractions": """
        i'm i've i'll i'd you're you've you'll you'd he's he'd he'll she's she'd she'll it's it'd it'll we're we've we'll we'd
        they're they've they'll they'd that's there's who's what's isn't aren't wasn't weren't don't doesn't didn't haven't
        hasn't hadn't can't couldn't won't wouldn't shan't shouldn't mightn't mustn't needn't let's""",
}
STOP_WORDS = frozenset(word for words in _CLASSES.values() for word in words.split())
