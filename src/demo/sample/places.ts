const list = (text: string) => text.split('|')

/** A country: how often members live there, and how people write addresses and telephone numbers. */
export interface Country {
  code: string
  /** Share of members, in parts of the sum of all. */
  weight: number
  /** The region is null where addresses name none. */
  cities: { city: string; region: string | null }[]
  streets: string[]
  /** Where the house number stands. */
  number: 'before' | 'after'
  /** `#` is a digit, `A` a capital letter. */
  postal: string
  currency: string
  zones: string[]
  language: string
  telephone: {
    /** Calling code, without +. */
    code: string
    /** Written before a national number, left out after the calling code. */
    trunk: string
    /** National significant numbers in the country's usual groups; `#` is a digit, `~` a digit from 2 to 9. */
    numbers: string[]
  }
}

const country = (
  code: string,
  weight: number,
  cities: string,
  streets: string,
  number: 'before' | 'after',
  postal: string,
  [currency, language, zones]: [string, string, string],
  [calling, trunk, numbers]: [string, string, string],
): Country => ({
  code,
  weight,
  cities: list(cities).map(entry => {
    const [city = '', region = null] = entry.split('=')
    return { city, region }
  }),
  streets: list(streets),
  number,
  postal,
  currency,
  language,
  zones: list(zones),
  telephone: { code: calling, trunk, numbers: list(numbers) },
})

/** All number ranges are ones the countries' plans assign, mostly mobile, so that a validator accepts them. */
// biome-ignore format: a table reads better with a country's facts in a block of short lines
export const COUNTRIES: Country[] = [
  country('US', 24, 'New York=NY|Los Angeles=CA|Chicago=IL|Houston=TX|Cañon City=CO|St. Louis=MO|Seattle=WA|Boston=MA|Denver=CO',
    'Main St|Oak Avenue|2nd St NW|Martin Luther King Jr. Blvd|Elm Dr, Apt 4B|Park Ave', 'before', '#####',
    ['USD', 'en', 'America/New_York|America/Chicago|America/Denver|America/Los_Angeles'],
    ['1', '', '212 ~~5 ####|415 ~~6 ####|312 ~~7 ####|206 ~~8 ####|617 ~~3 ####|303 ~~4 ####|512 ~~9 ####']),
  country('GB', 14, 'London|Manchester|Glasgow|Cardiff|Newcastle upon Tyne|St Albans|King’s Lynn',
    'High Street|Church Lane|Station Road|St. John’s Wood|Queen’s Gate', 'before', 'AA# #AA',
    ['GBP', 'en', 'Europe/London'], ['44', '0', '7400 ######|7700 1#####|7911 2#####|20 7946 0###|161 496 0###']),
  country('DE', 11, 'Berlin|München|Köln|Düsseldorf|Würzburg|Frankfurt (Oder)|Göttingen',
    'Hauptstraße|Goethestr.|Am Weißen Stein|Königsallee|Lindenweg', 'after', '#####',
    ['EUR', 'de', 'Europe/Berlin'], ['49', '0', '151 2#######|170 3######|176 4#######|30 23125 ###']),
  country('FR', 8, 'Paris|Lyon|Saint-Étienne|Nîmes|L’Haÿ-les-Roses|Besançon',
    'rue de la République|avenue Général Leclerc|place de l’Église|chemin des Écoliers', 'before', '#####',
    ['EUR', 'fr', 'Europe/Paris'], ['33', '0', '6 12 ## ## ##|7 56 ## ## ##|6 39 98 ## ##']),
  country('IT', 5, 'Roma=RM|Milano=MI|Forlì=FC|L’Aquila=AQ|Napoli=NA',
    'Via Garibaldi|Corso d’Italia|Piazza della Libertà|Viale Università', 'after', '#####',
    ['EUR', 'it', 'Europe/Rome'], ['39', '', '320 #######|347 #######|333 #######']),
  country('ES', 5, 'Madrid|Barcelona|A Coruña|Málaga|Donostia / San Sebastián',
    'Calle Mayor|Avenida de España|Plaça Catalunya|Paseo de la Constitución', 'after', '#####',
    ['EUR', 'es', 'Europe/Madrid'], ['34', '', '612 ### ###|655 ### ###|666 ### ###']),
  country('SE', 4, 'Stockholm|Göteborg|Malmö|Örebro|Jönköping', 'Storgatan|Drottninggatan|Åsvägen|Ängsvägen', 'after', '### ##',
    ['SEK', 'sv', 'Europe/Stockholm'], ['46', '0', '70 ### ## ##|73 ### ## ##|76 ### ## ##']),
  country('PL', 4, 'Warszawa|Łódź|Kraków|Gdańsk|Świnoujście', 'ul. Marszałkowska|ul. Żeromskiego|al. Jerozolimskie', 'after', '##-###',
    ['PLN', 'pl', 'Europe/Warsaw'], ['48', '', '501 ### ###|602 ### ###|790 ### ###|530 ### ###']),
  country('JP', 5, '東京=東京都|大阪=大阪府|札幌=北海道|京都=京都府', '中央1丁目|本町2-3|桜ヶ丘|北三条西4丁目', 'after', '###-####',
    ['JPY', 'ja', 'Asia/Tokyo'], ['81', '0', '90 1### ####|80 2### ####|70 4### ####']),
  country('BR', 5, 'São Paulo=SP|Rio de Janeiro=RJ|Brasília=DF|Florianópolis=SC', 'Rua das Flores|Avenida Paulista|Praça da Sé', 'after', '#####-###',
    ['BRL', 'pt', 'America/Sao_Paulo'], ['55', '', '11 9#### ####|21 9#### ####|48 9#### ####']),
  country('IN', 4, 'Mumbai=MH|Bengaluru=KA|दिल्ली=DL|Chennai=TN', 'MG Road|Nehru Marg|Brigade Rd, 2nd Cross', 'before', '5#####',
    ['INR', 'hi', 'Asia/Kolkata'], ['91', '0', '98### #####|99### #####|90### #####']),
  country('KR', 2, '서울|부산|대구', '세종대로|강남대로|해운대로', 'after', '#####',
    ['KRW', 'ko', 'Asia/Seoul'], ['82', '0', '10 3### ####|10 4### ####']),
  country('GR', 2, 'Αθήνα|Θεσσαλονίκη|Πάτρα', 'Ερμού|Λεωφόρος Κηφισίας|Τσιμισκή', 'after', '### ##',
    ['EUR', 'el', 'Europe/Athens'], ['30', '', '694 #######|697 #######']),
  country('TR', 2, 'İstanbul|İzmir|Ankara|Muğla', 'Atatürk Cad.|İstiklal Caddesi|Gül Sok.', 'after', '#####',
    ['TRY', 'tr', 'Europe/Istanbul'], ['90', '0', '532 ### ## ##|505 ### ## ##']),
  country('UA', 2, 'Київ|Львів|Одеса', 'вул. Хрещатик|просп. Свободи|вул. Дерибасівська', 'after', '#####',
    ['UAH', 'uk', 'Europe/Kyiv'], ['380', '0', '50 ### ####|67 ### ####|93 ### ####']),
  country('CZ', 1, 'Praha|Brno|Plzeň|Ústí nad Labem', 'Václavské náměstí|Nádražní|Příčná', 'after', '### ##',
    ['CZK', 'cs', 'Europe/Prague'], ['420', '', '601 ### ###|777 ### ###']),
  country('NL', 1, 'Amsterdam|’s-Hertogenbosch|Utrecht', 'Prinsengracht|’t Zand|Burgemeester de Vlugtlaan', 'after', '#### AA',
    ['EUR', 'nl', 'Europe/Amsterdam'], ['31', '0', '6 1### ####|6 2### ####']),
  country('EG', 1, 'القاهرة|الإسكندرية|الجيزة', 'شارع التحرير|شارع الهرم|كورنيش النيل', 'before', '1####',
    ['EGP', 'ar', 'Africa/Cairo'], ['20', '0', '10 0### ####|12 2### ####']),
]

// One slot per part of weight turns the draw into an array look-up.
const SLOTS = COUNTRIES.flatMap(entry => Array.from({ length: entry.weight }, () => entry))

/** The country for a fraction in [0, 1), by weight. */
export const countryAt = (fraction: number): Country => SLOTS[Math.floor(fraction * SLOTS.length)]!
