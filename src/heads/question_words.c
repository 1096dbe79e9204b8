/* Words that answer questions, by what is asked for. The lists are small on purpose: every
 * superfluous word can be taken for the right one. */
#include <string.h>
#include <strings.h>

#include "base/plain.h"
#include "heads/question.h"

static const char *const yes_no[] = {"yes", "no", NULL};

static const char *const colors[] = {"black", "white",  "gray", "red",   "orange", "yellow", "green",
                                     "blue",  "purple", "pink", "brown", "gold",   "silver", NULL};

/* Answers have digits for these: normalisation makes "three" 3. */
static const char *const numbers[] = {"one",   "two",   "three", "four", "five", "six",
                                      "seven", "eight", "nine",  "ten",  NULL};

static const char *const animals[] = {
    "cat",       "dog",          "bird",       "horse",     "cow",     "sheep",    "pig",      "goat",
    "elephant",  "giraffe",      "zebra",      "bear",      "lion",    "tiger",    "monkey",   "rabbit",
    "mouse",     "squirrel",     "deer",       "fox",       "wolf",    "camel",    "kangaroo", "koala",
    "panda",     "hippopotamus", "rhinoceros", "crocodile", "turtle",  "snake",    "lizard",   "frog",
    "fish",      "shark",        "dolphin",    "whale",     "octopus", "crab",     "lobster",  "snail",
    "butterfly", "bee",          "ant",        "beetle",    "spider",  "chicken",  "duck",     "goose",
    "swan",      "owl",          "eagle",      "parrot",    "penguin", "flamingo", "peacock",  "bat",
    "hedgehog",  "llama",        "sloth",      "otter",     "skunk",   NULL};

static const char *const fruits[] = {"apple",     "banana", "orange",     "lemon",   "lime",       "pear",
                                     "peach",     "cherry", "strawberry", "grapes",  "watermelon", "melon",
                                     "pineapple", "mango",  "kiwi",       "coconut", "blueberry",  "raspberry",
                                     "plum",      "tomato", "avocado",    NULL};

static const char *const vegetables[] = {"carrot",   "potato", "tomato",   "onion",   "garlic",  "broccoli", "corn",
                                         "cucumber", "pepper", "eggplant", "lettuce", "cabbage", "mushroom", "pumpkin",
                                         "peas",     "beans",  "spinach",  "celery",  NULL};

static const char *const foods[] = {
    "pizza",      "sandwich", "hamburger", "hot dog", "french fries", "salad",     "soup",      "pasta",    "spaghetti",
    "rice",       "noodles",  "sushi",     "bread",   "cheese",       "egg",       "bacon",     "meat",     "chicken",
    "fish",       "cake",     "cookie",    "donut",   "pie",          "ice cream", "chocolate", "pancakes", "fruit",
    "vegetables", "taco",     "burrito",   "popcorn", "waffle",       "croissant", NULL};

static const char *const drinks[] = {"water", "coffee", "tea",      "milk",      "juice",    "beer",
                                     "wine",  "soda",   "cocktail", "champagne", "lemonade", NULL};

static const char *const vehicles[] = {"car",       "bus",         "truck",      "train",      "bicycle", "motorcycle",
                                       "boat",      "ship",        "airplane",   "helicopter", "tractor", "taxi",
                                       "ambulance", "fire engine", "police car", "tram",       "van",     "scooter",
                                       "rocket",    "sailboat",    "canoe",      "skateboard", "wagon",   NULL};

static const char *const sports[] = {"soccer",  "tennis",  "baseball",     "basketball", "football",      "volleyball",
                                     "golf",    "skiing",  "snowboarding", "surfing",    "skateboarding", "swimming",
                                     "running", "cycling", "hockey",       "boxing",     "frisbee",       "bowling",
                                     "rugby",   "cricket", "badminton",    "climbing",   "wrestling",     NULL};

static const char *const shapes[] = {"circle",  "square", "triangle", "rectangle", "cross",
                                     "star",    "ring",   "diamond",  "heart",     "oval",
                                     "hexagon", "cube",   "sphere",   "cylinder",  NULL};

static const char *const sizes[] = {"small", "large", NULL};

static const char *const rooms[] = {"kitchen", "bathroom",  "bedroom", "living room", "dining room",
                                    "office",  "classroom", "hallway", "garage",      NULL};

static const char *const weathers[] = {"sunny", "cloudy", "rainy", "snowy", "foggy", "windy", "stormy", "clear", NULL};

static const char *const seasons[] = {"spring", "summer", "autumn", "winter", NULL};

static const char *const times[] = {"morning", "afternoon", "evening", "night", "day", NULL};

static const char *const instruments[] = {"guitar", "piano",     "violin", "drum", "trumpet", "saxophone",
                                          "flute",  "accordion", "banjo",  "harp", "cello",   NULL};

static const char *const clothes[] = {"shirt",  "t-shirt", "dress",   "pants",  "jeans",  "shorts",  "skirt", "coat",
                                      "jacket", "suit",    "hat",     "shoes",  "boots",  "sandals", "socks", "gloves",
                                      "scarf",  "tie",     "glasses", "bikini", "kimono", NULL};

static const char *const furniture[] = {"chair",   "table", "bed",  "couch", "desk",   "shelf",
                                        "cabinet", "bench", "lamp", "stool", "drawer", NULL};

static const char *const materials[] = {"wood",     "metal",   "glass", "plastic", "stone", "brick",
                                        "concrete", "leather", "paper", "cloth",   NULL};

static const char *const flowers[] = {"rose",           "tulip",    "sunflower", "daisy",    "lily", "orchid",
                                      "cherry blossom", "hibiscus", "lotus",     "hyacinth", NULL};

static const char *const emotions[] = {"happy", "sad",  "angry",    "surprised", "afraid",
                                       "tired", "calm", "confused", "in love",   NULL};

static const char *const places[] = {
    "at the beach",    "in the kitchen", "in the bathroom",  "in the bedroom", "in the living room", "in an office",
    "in a restaurant", "in a store",     "at school",        "in a park",      "in the street",      "on the road",
    "in a field",      "in the forest",  "in the mountains", "in the snow",    "in the water",       "in the sea",
    "in the sky",      "in the desert",  "in a city",        "at a zoo",       "on a farm",          "on a train",
    "at an airport",   "in a garden",    "on a table",       "on the grass",   "on the floor",       "on a bed",
    "on a chair",      "in a car",       "in a boat",        "on the left",    "on the right",       NULL};

static const char *const people[] = {"a man",
                                     "a woman",
                                     "a boy",
                                     "a girl",
                                     "a baby",
                                     "an old man",
                                     "an old woman",
                                     "a couple",
                                     "a family",
                                     "a group of people",
                                     "a child",
                                     "a police officer",
                                     "a doctor",
                                     "a firefighter",
                                     "a farmer",
                                     "a cook",
                                     "a teacher",
                                     "a student",
                                     "a judge",
                                     "a soldier",
                                     "an astronaut",
                                     "a pilot",
                                     "a singer",
                                     "an artist",
                                     "a mechanic",
                                     "a scientist",
                                     "a construction worker",
                                     "a detective",
                                     "a guard",
                                     "a king",
                                     "a queen",
                                     "a prince",
                                     "a princess",
                                     "a bride",
                                     "a clown",
                                     "a player",
                                     "a surfer",
                                     "a skier",
                                     "a cyclist",
                                     "nobody",
                                     NULL};

static const char *const actions[] = {
    "running",  "walking",  "standing", "sitting",  "sleeping", "eating",   "drinking", "cooking",
    "playing",  "swimming", "riding",   "driving",  "flying",   "jumping",  "dancing",  "singing",
    "reading",  "writing",  "talking",  "smiling",  "crying",   "surfing",  "skiing",   "skateboarding",
    "climbing", "fishing",  "working",  "shopping", "waiting",  "fighting", NULL};

static const struct {
    const char *kind;
    const char *const *words;
} kinds[] = {
    {"animal", animals},
    {"creature", animals},
    {"pet", animals},
    {"fruit", fruits},
    {"vegetable", vegetables},
    {"food", foods},
    {"meal", foods},
    {"dish", foods},
    {"drink", drinks},
    {"beverage", drinks},
    {"vehicle", vehicles},
    {"transport", vehicles},
    {"transportation", vehicles},
    {"sport", sports},
    {"game", sports},
    {"shape", shapes},
    {"size", sizes},
    {"room", rooms},
    {"weather", weathers},
    {"season", seasons},
    {"time", times},
    {"instrument", instruments},
    {"clothes", clothes},
    {"clothing", clothes},
    {"garment", clothes},
    {"furniture", furniture},
    {"material", materials},
    {"flower", flowers},
    {"emotion", emotions},
    {"feeling", emotions},
    {"mood", emotions},
    {"color", colors},
    {"colour", colors},
    {"number", numbers},
    {"place", places},
    {"person", people},
    {"action", actions},
    {"activity", actions},
};

/* Things that a question without a clue may be about. */
static const char *const things[] = {
    "person",    "man",      "woman",    "child",    "baby",    "face",       "hand",  "heart",    "cat",
    "dog",       "bird",     "horse",    "cow",      "sheep",   "elephant",   "bear",  "fish",     "butterfly",
    "car",       "bus",      "truck",    "train",    "bicycle", "motorcycle", "boat",  "airplane", "house",
    "building",  "bridge",   "street",   "sign",     "clock",   "flag",       "tree",  "flower",   "leaf",
    "grass",     "mountain", "beach",    "sea",      "sky",     "cloud",      "sun",   "moon",     "star",
    "snow",      "fire",     "food",     "pizza",    "cake",    "bread",      "fruit", "apple",    "banana",
    "cup",       "bottle",   "glass",    "plate",    "knife",   "fork",       "spoon", "table",    "chair",
    "bed",       "couch",    "lamp",     "door",     "window",  "book",       "paper", "pen",      "scissors",
    "key",       "phone",    "computer", "keyboard", "camera",  "television", "ball",  "kite",     "skateboard",
    "surfboard", "racket",   "bat",      "hat",      "shirt",   "shoe",       "bag",   "umbrella", "glasses",
    "ring",      "crown",    "guitar",   "drum",     "toy",     "teddy bear", "gift",  "money",    "letter",
    "box",       "rocket",   "robot",    "circle",   "square",  "triangle",   "cross", "arrow",    "number",
    "word",      NULL};

static const char *const fillers[] = {
    "a",     "an",  "and",   "any",     "are",   "as",   "at",    "be",    "behind",  "between", "by",   "for",
    "from",  "has", "he",    "her",     "his",   "in",   "into",  "is",    "it",      "its",     "near", "next",
    "no",    "not", "of",    "off",     "on",    "or",   "other", "our",   "out",     "over",    "she",  "some",
    "that",  "the", "their", "them",    "there", "they", "this",  "to",    "under",   "up",      "was",  "were",
    "which", "who", "with",  "without", "you",   "your", "image", "photo", "picture", NULL};

bool cliphd_is_filler(const char *word)
{
    for (const char *const *f = fillers; *f; f++)
        if (strcmp(word, *f) == 0)
            return true;
    return false;
}

const char *const *cliphd_words_of(const char *kind)
{
    const size_t n = strlen(kind);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t m = strlen(kinds[i].kind);
        const bool plural = n == m + 1 && (kind[m] == 's' || kind[m] == 'S');
        if ((n == m || plural) && strncasecmp_l(kind, kinds[i].kind, m, clipb_plain()) == 0)
            return kinds[i].words;
    }
    return NULL;
}

const char *const *cliphd_question_words(const cliphd_question *q)
{
    const char *const *of_kind = *q->kind ? cliphd_words_of(q->kind) : NULL;
    switch (q->type) {
    case CLIPHD_YES_NO: return yes_no;
    case CLIPHD_COLOR: return colors;
    case CLIPHD_COUNT: return numbers;
    case CLIPHD_WHERE: return places;
    case CLIPHD_WHO: return people;
    default: return of_kind ? of_kind : things;
    }
}
