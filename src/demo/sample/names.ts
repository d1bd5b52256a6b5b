const words = (text: string) => text.trim().split(/\s+/)

// Given and family names by country, as people there write them. Scripts that an e-mail address cannot carry have
// their romanisation after a colon.
const WRITTEN: Record<string, { first: string[]; last: string[] }> = {
  US: {
    first: words(
      'James Mary Michael Jennifer David Linda José Patricia William Aaliyah DeShawn Mei Noah Zoë',
    ),
    last: words(
      "Smith Johnson O'Brien García Martinez Nguyen Washington McDonald Van_Buren Lee O’Connor Díaz",
    ),
  },
  GB: {
    first: words('Oliver Amelia George Siân Harry Isla Niamh Muhammad Chloë Angus Rhys Priya Freya'),
    last: words(
      "Jones Taylor O'Neill Patel Singh-Gill MacLeod Evans ffrench Smith-Jones Hughes Ó_Súilleabháin Khan",
    ),
  },
  DE: {
    first: words('Jürgen Anna Björn Käthe Lukas Sophie Günther Mia Jörg Leonie Yılmaz Hans-Peter Zoë'),
    last: words('Müller Schmidt Weiß von_der_Heide Schröder Jäger Öztürk Groß Köhler Hofmann Çelik Böhm'),
  },
  FR: {
    first: words('Jean-Luc Élodie François Chloé Hélène Gaël Noëlle Théo Inès Aïcha Loïc Océane'),
    last: words(
      "Lefèvre Dupont D'Aboville Gérard L’Hôte Benoît Nuñez Müller Garçon Le_Goff Bouchaïb Lemaître",
    ),
  },
  IT: {
    first: words('Giuseppe Nicolò Chiara Matteo Giulia Niccolò Sofia Lorenzo Desirée Marco Ilaria Raffaele'),
    last: words(
      "D'Angelo Rossi Dell'Acqua Ricci Esposito De_Luca Nicolò Bianchi Santoro L’Abbate Greco Forlì",
    ),
  },
  ES: {
    first: words('José María Ángel Begoña Íñigo Lucía Andrés Núria Martín Sofía Joaquín Aránzazu'),
    last: words('García Muñoz Pérez Núñez Ibáñez Güell López Peña Fernández Etxeberria Domènech Ordóñez'),
  },
  SE: {
    first: words('Åsa Björn Märta Håkan Elin Göran Linnéa Sven Maja Örjan Saga Åke'),
    last: words(
      'Åkesson Öberg Lindström Sjögren Andersson Ängström Nyström Löfgren Hägg Karlsson Svensson Al-Sayed',
    ),
  },
  PL: {
    first: words(
      'Łukasz Małgorzata Paweł Zofia Świętosława Grażyna Michał Aleksandra Stanisław Bożena Jakub Żaneta',
    ),
    last: words(
      'Kowalski Wiśniewska Brzęczyszczykiewicz Łuczak Żółkiewski Nowak Dąbrowska Źrebiec Szymańska Wójcik Gąsior Ćwik',
    ),
  },
  BR: {
    first: words('João Conceição Luís Antônia Sérgio Patrícia Tomás Letícia Ângela Gonçalo Ruy Iracema'),
    last: words(
      "Silva dos_Santos Araújo Gonçalves Simões D'Ávila Magalhães Ferrão Conceição Lima Müller Brandão",
    ),
  },
  CZ: {
    first: words('Jiří Šárka Zdeněk Božena Ondřej Lucie Řehoř Kateřina Tomáš Věra Matěj Ludmila'),
    last: words('Novák Dvořáková Šťastný Růžičková Kříž Černá Procházka Žižka Hájková Ďuriš Němec Bílá'),
  },
  NL: {
    first: words('Daan Sanne Jeroen Fleur Coen Anouk Tijn Renée Zoë Wouter Maud André'),
    last: words(
      "de_Vries van_der_Berg 't_Hart IJsselstein Janssen Bakker van_'t_Hoff Özdemir Visser Mulder de_Haan Smit",
    ),
  },
  TR: {
    first: words('Ayşe Mehmet Çağla İbrahim Şule Oğuz Iğdır Gülşen Ümit Emine Barış Özge'),
    last: words('Yılmaz Öztürk Şahin Çelik Kılıç Doğan Güneş Işık Aydın Karaağaç Demir İnce'),
  },
  JP: {
    first: words(
      '太郎:taro さくら:sakura 健一:kenichi 陽菜:hina 翔:sho 美咲:misaki ケン:ken 結衣:yui 大輔:daisuke 愛:ai',
    ),
    last: words(
      '佐藤:sato 鈴木:suzuki 髙橋:takahashi 田中:tanaka 渡邊:watanabe 伊藤:ito 山本:yamamoto 小林:kobayashi 𠮷田:yoshida 齋藤:saito',
    ),
  },
  KR: {
    first: words(
      '민준:minjun 서연:seoyeon 지훈:jihun 하은:haeun 도윤:doyun 수빈:subin 예은:yeeun 현우:hyeonu',
    ),
    last: words('김:kim 이:lee 박:park 최:choi 정:jeong 강:kang 조:cho 윤:yun'),
  },
  GR: {
    first: words(
      'Γιώργος:giorgos Μαρία:maria Δημήτρης:dimitris Ελένη:eleni Νίκος:nikos Άννα:anna Κώστας:kostas Σοφία:sofia',
    ),
    last: words(
      'Παπαδόπουλος:papadopoulos Νικολάου:nikolaou Οικονόμου:oikonomou Γεωργίου:georgiou Βασιλείου:vasileiou Ζαχαρίας:zacharias',
    ),
  },
  UA: {
    first: words(
      'Олена:olena Андрій:andrii Юлія:yuliia Їжакевич:izhak Дмитро:dmytro Наталія:nataliia Ґалаґан:galagan Ірина:iryna',
    ),
    last: words(
      'Шевченко:shevchenko Коваль:koval Бойко:boiko Мельник:melnyk Кравець:kravets Ткачук:tkachuk Лисенко:lysenko Дем’яненко:demianenko',
    ),
  },
  IN: {
    first: words(
      'आरव:aarav प्रिया:priya Aditya Lakshmi தமிழ்:tamil अनन्या:ananya Rohan Kavya విజయ్:vijay মিতা:mita',
    ),
    last: words('शर्मा:sharma Patel Iyer गुप्ता:gupta Reddy Nair Subramanian দাস:das Mukhopadhyay Khan'),
  },
  EG: {
    first: words('محمد:mohamed فاطمة:fatma أحمد:ahmed مريم:mariam يوسف:youssef نور:nour عمر:omar هدى:hoda'),
    last: words(
      'حسن:hassan إبراهيم:ibrahim علي:ali السيد:elsayed عبدالله:abdallah منصور:mansour فؤاد:fouad زكي:zaki',
    ),
  },
}

/** A name as written, and the part an e-mail address can carry. */
export interface Name {
  written: string
  ascii: string
}

// `_` is a space, `:` starts the romanisation.
function readName(entry: string): Name {
  const [written = '', romanised] = entry.replaceAll('_', ' ').split(':')
  const folded = (romanised ?? written)
    .replaceAll('ß', 'ss')
    .replaceAll('ł', 'l')
    .replaceAll('Ł', 'l')
    .replaceAll('ı', 'i')
    .normalize('NFKD')
    .toLowerCase()
  return { written, ascii: folded.replace(/[^a-z0-9]/g, '') }
}

/** Given and family names by country code. */
export const NAMES: Record<string, { first: Name[]; last: Name[] }> = Object.fromEntries(
  Object.entries(WRITTEN).map(([code, { first, last }]) => [
    code,
    { first: first.map(readName), last: last.map(readName) },
  ]),
)
